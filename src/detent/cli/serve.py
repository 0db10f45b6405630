"""`detent serve`: production. Refuses settings that are not safe, and a data directory that holds seeds."""

import logging
import sys
from pathlib import Path

import click

from detent.cli.choices import together
from detent.cli.office import Office, opened
from detent.cli.operation import Answer, answered, settings_from, show
from detent.cli.serving import at_work, run, taken
from detent.demo.seeds import traces_of_seeds
from detent.settings import DECLARED, Problem, Settings, SettingsError, production_problems
from detent.sinks.log import logging_to
from detent.web.server import listening, port_of, serve_until_signal

log = logging.getLogger("detent.serving")

setting_options = together(
    *(
        click.option(each.flag, name, metavar=each.expected, help=each.about.sentence)
        for name, each in DECLARED.items()
    ),
    click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The settings, as TOML."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document once ready."),
)


@click.command()
@setting_options
def serve(as_json: bool, config: Path | None, **flags: str | None) -> None:
    """Serve in production: over loopback to a proxy that ends TLS."""

    def start() -> None:
        settings = settings_from(config, **flags)
        if problems := production_problems(settings):
            raise SettingsError(*problems)
        run(_serve(settings, as_json))

    answered(start, as_json)


async def _serve(settings: Settings, as_json: bool) -> None:
    try:
        listener = listening(settings.host, settings.port)
    except OSError as error:
        raise taken(settings.port, error, f"Set another one: port ({settings.source('port')}).") from None
    with listener, logging_to(sys.stderr, settings.log_level):
        house = opened(settings, issuer=settings.issuer, password_grant=settings.password_grant, create=True)
        async with house as office:
            await _refuse_seeds(office)
            if settings.issuer.startswith("https:") and not settings.proxies:
                log.warning("proxies is 0: to the throttle of sign-ins all people share the address of the proxy")
            told = {"issuer": settings.issuer, "host": settings.host, "port": port_of(listener)}
            text = f"detent serves {settings.issuer} on {settings.host} port {told['port']}; data in {settings.data}"
            async with at_work(office):
                await serve_until_signal([(office.house.asgi, [listener])], lambda: show(Answer(told, text), as_json))


async def _refuse_seeds(office: Office) -> None:
    settings = office.settings
    if traces := await traces_of_seeds(settings.data, office.registrations, office.people):
        raise SettingsError(
            Problem(
                "data",
                settings.source("data"),
                f"{settings.data} was seeded by `detent up` ({'; '.join(traces)}), and everybody knows these secrets. "
                "Give production a directory of its own with --data.",
            )
        )
