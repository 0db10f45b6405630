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
from detent.cli.office import STORE_FILE, opened
from detent.cli.operation import Answer, answered, common_options, settings_from, show, table
from detent.cli.serving import run, swept, taken
from detent.cli.walkthrough import shell_lines
from detent.demo.api import demo_api
from detent.demo.seeds import DEMO_API, SECRETS_FILE, VAULT, Seeds, development_secrets, seed
from detent.settings import Problem, Settings, SettingsError, development_problems
from detent.sinks.log import logging_to
from detent.system import SystemEntropy
from detent.web.server import loopback, port_of, serve_until_signal


@click.command()
@common_options
@click.option("--port", metavar="PORT", help="The issuer's port; the demo API takes the next one. 0: any free ones.")
def up(as_json: bool, data: str | None, config: Path | None, port: str | None) -> None:
    """Start a server to try everything with, on this machine only."""

    def start() -> None:
        settings = settings_from(config, data=data, port=port)
        if problems := [*development_problems(settings), *_production_data(settings)]:
            raise SettingsError(*problems)
        run(_up(settings, as_json))
        if not as_json:
            click.echo(f"\nStopped. The same command comes back to it: all is kept in {settings.data.absolute()}.")

    answered(start, as_json)


async def _up(settings: Settings, as_json: bool) -> None:
    with ExitStack() as stack:
        stack.enter_context(logging_to(sys.stderr, settings.log_level))
        sockets, api_sockets = _sockets(settings, stack)
        issuer, api = (f"http://127.0.0.1:{port_of(pair[0])}/" for pair in (sockets, api_sockets))
        secrets = development_secrets(settings.data, SystemEntropy())
        async with opened(settings, issuer=issuer, create=True) as office:
            seeds = await seed(secrets, office.directory, office.registrations, office.people)
            application = demo_api(issuer, DEMO_API, VAULT, seeds.introspection)
            answer = Answer(_document(issuer, api, seeds), _screen(settings, issuer, api, seeds))
            async with swept(office.outside.store, office.outside.clock):
                await serve_until_signal(
                    [(office.house.asgi, sockets), (application, api_sockets)], lambda: show(answer, as_json)
                )


def _production_data(settings: Settings) -> list[Problem]:
    if (settings.data / SECRETS_FILE).exists() or not (settings.data / STORE_FILE).exists():
        return []
    fault = (
        f"{settings.data} holds a store that `detent up` did not make, and it would get secrets that everybody knows. "
        "Choose another directory with --data."
    )
    return [Problem("data", settings.source("data"), fault)]


def _sockets(settings: Settings, stack: ExitStack) -> tuple[list[socket.socket], list[socket.socket]]:
    """The issuer's and the demo API's, closed by the stack. Raises Failure."""
    both = []
    for port in (settings.port, min(settings.port + 1, 65535) if settings.port else 0):
        try:
            pair = loopback(port)
        except OSError as error:
            raise taken(port, error, "Choose others: --port PORT (the demo API takes the next), or --port 0.") from None
        both.append(pair)
        for each in pair:
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
