"""`detent serve`: production. Refuses settings that are not safe, and a data directory that holds seeds."""

import logging
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from detent.cli.certificates import certificate_problems, kept_current, server_certificate
from detent.cli.choices import together
from detent.cli.figures import figures_of
from detent.cli.identity import join
from detent.cli.office import Office, opened
from detent.cli.operation import Answer, answered, settings_from, show
from detent.cli.serving import at_work, run, taken
from detent.demo.seeds import traces_of_seeds
from detent.settings.declared import DECLARED, Problem, Settings, SettingsError
from detent.settings.fitness import operator_place, production_problems
from detent.sinks.log import logging_to
from detent.web.server import Ending, Served, listening, port_of, serve_until_signal

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
    """Serve in production: with a certificate of its own, or over loopback to a proxy that ends TLS."""

    def start() -> None:
        settings = settings_from(config, **flags)
        if problems := [*production_problems(settings), *certificate_problems(settings)]:
            raise SettingsError(*problems)
        run(_serve(settings, as_json))

    answered(start, as_json)


async def _serve(settings: Settings, as_json: bool) -> None:
    with ExitStack() as stack:
        listener = _listening("port", settings.host, settings.port, settings, stack)
        place = operator_place(settings)
        for_operators = _listening("operator_address", *place, settings, stack) if place else None
        stack.enter_context(logging_to(sys.stderr, settings.log_level))
        certificate = server_certificate(settings)
        house = opened(settings, issuer=settings.issuer, password_grant=settings.password_grant, create=True)
        async with house as office:
            await _refuse_seeds(office)
            await join(settings, office.outside.store)
            if settings.issuer.startswith("https:") and not settings.proxies and not certificate:
                log.warning("proxies is 0: to the throttle of sign-ins all people share the address of the proxy")
            figures_of(office)
            served = [Served(office.house.asgi, [listener], certificate.context if certificate else None)]
            told = {"issuer": settings.issuer, "host": settings.host, "port": port_of(listener)}
            text = f"detent serves {settings.issuer} on {settings.host} port {told['port']}; data in {settings.data}"
            if for_operators:
                served.append(Served(office.house.operator_asgi, [for_operators]))
                told["operator_port"] = port_of(for_operators)
                text += f"; for operators: {settings.operator_address}"
            ending = Ending(
                settings.shutdown_delay, lambda: office.house.health.set("draining", "It is being stopped.")
            )
            async with at_work(office), kept_current(certificate):
                await serve_until_signal(served, lambda: show(Answer(told, text), as_json), ending)


def _listening(name: str, host: str, port: int, settings: Settings, stack: ExitStack) -> socket.socket:
    try:
        return stack.enter_context(listening(host, port))
    except OSError as error:
        raise taken(port, error, f"Set another one: {name} ({settings.source(name)}).") from None


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
