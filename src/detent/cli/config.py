"""`detent config …`: what the settings are, where each value comes from, and whether production would take them.

All of it, docs/settings.md too, is made from the declarations in settings/declared.py.
"""

from pathlib import Path
from typing import Any, Final

import click

from detent.cli.certificates import certificate_problems
from detent.cli.operation import Answer, answered, common_options, settings_from, show, table
from detent.settings.declared import DECLARED, Setting, Settings, SettingsError
from detent.settings.fitness import production_problems

_HEAD: Final = """# Settings

Made from the declarations in `src/detent/settings/declared.py` by `detent config explain --markdown`; a test keeps
it current.

A value comes from the flag of `detent serve`, else from the environment variable, else from the TOML file
(`--config FILE`, or `detent.toml` in the data directory), else it is the default. What is not in this list stops the
start and is named with its line. `detent config check` says whether production would start.

| setting | flag, variable | type | default | what it says |
|---|---|---|---|---|
"""


@click.group()
def config() -> None:
    """The settings."""


@config.command()
@common_options
@click.option("--markdown", is_flag=True, help="Print the page docs/settings.md.")
def explain(as_json: bool, data: str | None, config: Path | None, markdown: bool) -> None:
    """Show every setting, its value, and where that comes from."""
    if markdown:
        return click.echo(page(), nl=False)

    def work() -> Answer:
        settings = settings_from(config, data=data)
        documents = [_document(each, settings) for each in DECLARED.values()]
        rows = [(each["name"], each["value"], each["source"], each["sentence"]) for each in documents]
        return Answer(documents, table(("SETTING", "VALUE", "FROM", "WHAT IT SAYS"), rows))

    show(answered(work, as_json), as_json)


@config.command()
@common_options
def check(as_json: bool, data: str | None, config: Path | None) -> None:
    """Say whether `detent serve` would start with these settings, and if not, why."""

    def work() -> Answer:
        settings = settings_from(config, data=data)
        if problems := [*production_problems(settings), *certificate_problems(settings)]:
            raise SettingsError(*problems)
        return Answer({"issuer": settings.issuer}, "`detent serve` can start with these settings.")

    show(answered(work, as_json), as_json)


@config.command()
@common_options
def init(as_json: bool, data: str | None, config: Path | None) -> None:
    """Print a settings file to start from: every setting with its sentence and its default, switched off."""
    show(Answer({"toml": template()}, template()), as_json)


def template() -> str:
    """A settings file that changes nothing yet."""
    return "\n".join(_commented(each) for each in DECLARED.values()).rstrip()


def page() -> str:
    """docs/settings.md."""
    return _HEAD + "".join(_row(each) for each in DECLARED.values())


def _commented(setting: Setting) -> str:
    danger = f"# {setting.about.danger}\n" if setting.about.danger else ""
    return f"# {setting.about.sentence}\n{danger}# {setting.name} = {_toml(setting.default)}\n"


def _row(setting: Setting) -> str:
    default = f"`{_toml(setting.default)}`" if setting.default not in ("", None) else "none"
    told = " ".join(filter(None, (setting.about.sentence, setting.about.danger and f"**{setting.about.danger}**")))
    return f"| `{setting.name}` | `{setting.flag}`, `{setting.variable}` | {setting.expected} | {default} | {told} |\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{"" if value is None else value}"'


def _document(setting: Setting, settings: Settings) -> dict[str, Any]:
    value = getattr(settings, setting.name)
    if setting.about.secret and value:
        value = "***"
    return {
        "name": setting.name,
        "value": str(value) if isinstance(value, Path) else value,
        "source": settings.source(setting.name),
        "default": str(setting.default) if isinstance(setting.default, Path) else setting.default,
        "type": setting.expected,
        "unit": setting.about.unit,
        "sentence": setting.about.sentence,
        "danger": setting.about.danger,
        "flag": setting.flag,
        "variable": setting.variable,
    }
