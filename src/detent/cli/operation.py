"""What every command has in common: `--json`, `--data`, `--config`, how it answers and how it fails.

A command is an async function from an opened data directory to an `Answer`; `operation` does the rest. Rule: one
JSON document or a few lines of text on stdout; an error is one JSON object or one sentence on stderr, and exit code 1.
"""

import asyncio
import functools
import json
import os
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from detent.admin.errors import ChangedMeanwhile
from detent.admin.story import when
from detent.cli.office import opened
from detent.core.errors import Conflict, OAuthError, StoreUnavailable
from detent.core.ids import Instant
from detent.keys.ring import KeysError
from detent.registry.joined import RegistryError
from detent.settings.declared import Settings, SettingsError
from detent.settings.reading import load

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
_CODES: Final[dict[type[Exception], str]] = {
    SettingsError: "invalid_settings",
    RegistryError: "invalid_settings",
    KeysError: "keys_unusable",
    StoreUnavailable: "store_unavailable",
}


class Answer(msgspec.Struct, frozen=True):
    """The JSON document, and the same for a person; `good` is whether the command ends with 0 and not 1."""

    document: Any
    text: str
    good: bool = True


class Failure(Exception):
    """What stops a command: a code, and a sentence that says what to do next."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


def common_options(command: F) -> F:
    for option in (
        click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The settings, as TOML."),
        click.option("--data", metavar="DIR", help="The data directory."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    ):
        command = option(command)
    return command


def operation(
    *, create: bool = False
) -> Callable[[Callable[..., Coroutine[Any, Any, Answer | None]]], Callable[..., None]]:
    """Makes a command of `async work(office, **arguments) -> Answer`; None has printed everything itself.

    With `create` it may be the first to come.
    """

    def command_of(work: Callable[..., Coroutine[Any, Any, Answer | None]]) -> Callable[..., None]:
        @functools.wraps(work)
        def command(as_json: bool, data: str | None, config: Path | None, **arguments: Any) -> None:
            async def run() -> Answer | None:
                async with opened(settings_from(config, data=data), create=create) as office:
                    return await work(office, **arguments)

            answer = answered(lambda: asyncio.run(run()), as_json)
            if answer is None:  # it has said all it had to say
                return
            show(answer, as_json)
            if not answer.good:
                raise click.exceptions.Exit(1)

        return common_options(command)

    return command_of


def settings_from(config: Path | None, **flags: str | None) -> Settings:
    """Raises SettingsError, and Failure for a password on the command line."""
    no_password_in("store", flags.get("store"))
    return load({name: text for name, text in flags.items() if text is not None}, os.environ, config)


def no_password_in(option: str, address: str | None) -> None:
    """Everybody on this machine can read the arguments of a process (attack L8). Raises Failure."""
    if address and (urlsplit(address).password or re.search(r"\bpassword\s*=", address)):
        better = "put it into the settings file, DETENT_STORE, or a password file of PostgreSQL (PGPASSFILE)"
        raise Failure(
            "secret_on_command_line", f"--{option} holds a password, which everybody here can read: {better}."
        )


def show(answer: Answer, as_json: bool) -> None:
    click.echo(json.dumps(answer.document) if as_json else answer.text)


def answered(work: Callable[[], T], as_json: bool) -> T:
    """What `work` returns; what an operator can mend is printed, and the command ends with 1."""
    try:
        return work()
    except OAuthError as error:
        code, description = error.code, error.description
    except Failure as error:
        code, description = error.code, str(error)
    except Conflict:
        code, description = ChangedMeanwhile.code, ChangedMeanwhile().description
    except (SettingsError, RegistryError, KeysError, StoreUnavailable) as error:
        code, description = _CODES[type(error)], str(error)
    except OSError as error:
        code, description = "unusable_file", f"{error.filename} cannot be used: {error.strerror}."
    body = {"error": code, "error_description": description}
    click.echo(json.dumps(body) if as_json else f"detent: {description}", err=True)
    raise click.exceptions.Exit(1)


def visible(value: object) -> str:
    """A value for a terminal: nothing in it moves the cursor, changes a colour or turns the text round."""
    text = "-" if value in (None, "") else str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as they need to be."""
    lines = [list(header), *([visible(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def facts(document: Mapping[str, object]) -> str:
    """A name and a value per line; points in time are written out."""
    width = max(map(len, document))
    return "\n".join(f"{name:<{width}}  {visible(_spelt(name, value))}" for name, value in document.items())


def _spelt(name: str, value: object) -> object:
    if isinstance(value, int) and name.endswith(("_at", "_until")) and value:
        return when(Instant(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, list | tuple | dict) else value
