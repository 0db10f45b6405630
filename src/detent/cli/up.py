"""`detent up`: development mode. One command, no question: people, clients and APIs to try everything with.

Only this machine can reach it; the data directory keeps what was done, and production refuses that directory.
"""

import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from detent.admin.documents import created_document
from detent.cli.office import opened
from detent.cli.operation import Answer, answered, common_options, settings_from, show, table
from detent.cli.serving import run, swept, taken
from detent.cli.walkthrough import shell_lines
from detent.demo.api import demo_api
from detent.demo.seeds import DEMO_API, VAULT, Seeds, seed
from detent.settings import Settings, SettingsError, development_problems
from detent.sinks.log import logging_to
from detent.web.server import loopback, port_of, serve_until_signal


@click.command()
@common_options
@click.option("--port", metavar="PORT", help="The issuer's port; the demo API takes the next one. 0: any free ones.")
def up(as_json: bool, data: str | None, config: Path | None, port: str | None) -> None:
    """Start a server to try everything with, on this machine only."""

    def start() -> None:
        settings = settings_from(config, data=data, port=port)
        if problems := development_problems(settings):
            raise SettingsError(*problems)
        run(_up(settings, as_json))
        if not as_json:
            click.echo(f"\nStopped. The same command comes back to it: all is kept in {settings.data.absolute()}.")

    answered(start, as_json)


async def _up(settings: Settings, as_json: bool) -> None:
    with ExitStack() as stack:
        stack.enter_context(logging_to(sys.stderr, settings.log_level))
        sockets, api_sockets = _sockets(settings, stack)
        issuer, api = (f"http://127.0.0.1:{port_of(opened[0])}/" for opened in (sockets, api_sockets))
        async with opened(settings, issuer=issuer, create=True) as office:
            seeds = await seed(settings.data, office.directory, office.registrations, office.people)
            application = demo_api(issuer, DEMO_API, VAULT, seeds.introspection)
            answer = Answer(_document(issuer, api, seeds), _screen(settings, issuer, api, seeds))
            async with swept(office.outside.store, office.outside.clock):
                await serve_until_signal(
                    [(office.house.asgi, sockets), (application, api_sockets)], lambda: show(answer, as_json)
                )


def _sockets(settings: Settings, stack: ExitStack) -> tuple[list[socket.socket], list[socket.socket]]:
    """The issuer's and the demo API's, closed by the stack. Raises Failure."""
    both = []
    for port in (settings.port, min(settings.port + 1, 65535) if settings.port else 0):
        try:
            opened = loopback(port)
        except OSError as error:
            raise taken(port, error, "Choose others: --port PORT (the demo API takes the next), or --port 0.") from None
        both.append(opened)
        for each in opened:
            stack.enter_context(each)
    return both[0], both[1]


def _document(issuer: str, api: str, seeds: Seeds) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "dashboard": None,
        "demo_api": api,
        "clients": [{"client_secret": None, **created_document(client, secret)} for client, secret in seeds.clients],
        "users": [{"username": name, "password": password} for name, password in seeds.users],
    }


def _screen(settings: Settings, issuer: str, api: str, seeds: Seeds) -> str:
    people = table(("PERSON", "PASSWORD"), seeds.users)
    clients = [
        (client.client_id, secret, client.kind, " ".join(client.grant_types)) for client, secret in seeds.clients
    ]
    machine = next(f"{client.client_id}:{secret}" for client, secret in seeds.clients if client.kind == "machine")
    return "\n\n".join(
        (
            "detent in development mode: only this machine can reach it.",
            f"Issuer    {issuer}\nDemo API  {api}  (audience {DEMO_API})\nData      {settings.data.absolute()}",
            people,
            table(("CLIENT", "SECRET", "KIND", "GRANTS"), clients),
            f"Try it; these lines can be pasted as they are:\n\n{shell_lines(issuer, api, machine)}",
            "Ctrl-C stops it and keeps the data.",
        )
    )
