"""`detent up`: development mode. One command, no question: people, clients, APIs and apps to try everything with.

Only this machine can reach it; the data directory keeps what was done, and production refuses that directory.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from detent.admin.documents import created_document
from detent.cli.office import STORE_FILE, opened
from detent.cli.operation import Answer, answered, common_options, settings_from, show, table
from detent.cli.serving import at_work, run
from detent.cli.stage import ADD_EXTRA, Place, Stage, built, web_app_if_installed
from detent.cli.walkthrough import shell_lines
from detent.demo.api import demo_api
from detent.demo.browser_app import browser_app
from detent.demo.cast import DEMO_API, VAULT, WEB_APP, localhost
from detent.demo.seeds import SECRETS_FILE, Seeds, development_secrets, seed
from detent.settings.declared import Problem, Settings, SettingsError
from detent.settings.fitness import development_problems
from detent.sinks.log import logging_to
from detent.system import SystemEntropy
from detent.web.server import Served, serve_until_signal


@click.command()
@common_options
@click.option(
    "--port",
    metavar="PORT",
    help="The issuer's port; the demo API takes the next one, the demo apps 3000 and 3001. 0: any free ones.",
)
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
    web_app = web_app_if_installed()
    with ExitStack() as stack:
        stack.enter_context(logging_to(sys.stderr, settings.log_level))
        stage = built(settings.port, web_app is not None, stack)
        secrets = development_secrets(settings.data, SystemEntropy())
        async with opened(settings, issuer=stage.issuer.url, create=True) as office:
            seeds = await seed(secrets, office.directory, office.registrations, office.people, stage.apps)
            where = (stage.issuer.url, stage.api.url, DEMO_API)
            api = demo_api(
                stage.issuer.url,
                DEMO_API,
                VAULT,
                seeds.introspection,
                origins=(stage.apps.browser,),
                reached_at=(stage.api.origin, localhost(stage.api.origin)),
            )
            served: list[Served] = [
                (office.house.asgi, stage.issuer.sockets),
                (api, stage.api.sockets),
                (browser_app(stage.apps.browser, *where), stage.browser_app.sockets),
            ]
            if web_app and stage.web_app:
                credentials = (WEB_APP, secrets[WEB_APP])
                served.append((web_app(stage.apps.web, *where, credentials), stage.web_app.sockets))
            answer = Answer(_document(stage, seeds), _screen(settings, stage, seeds))
            async with at_work(office):
                await serve_until_signal(served, lambda: show(answer, as_json))


def _production_data(settings: Settings) -> list[Problem]:
    if (settings.data / SECRETS_FILE).exists() or not (settings.data / STORE_FILE).exists():
        return []
    fault = (
        f"{settings.data} holds a store that `detent up` did not make, and it would get secrets that everybody knows. "
        "Choose another directory with --data."
    )
    return [Problem("data", settings.source("data"), fault)]


def _document(stage: Stage, seeds: Seeds) -> dict[str, Any]:
    return {
        "issuer": stage.issuer.url,
        "dashboard": None,
        "demo_api": stage.api.url,
        "demo_browser_app": stage.browser_app.url,
        "demo_web_app": stage.web_app.url if stage.web_app else None,
        "clients": [{"client_secret": None, **created_document(client, secret)} for client, secret in seeds.clients],
        "users": [{"username": name, "password": password} for name, password in seeds.users],
    }


def _screen(settings: Settings, stage: Stage, seeds: Seeds) -> str:
    clients = [
        (client.client_id, secret, client.kind, " ".join(client.grant_types)) for client, secret in seeds.clients
    ]
    machine = next(f"{client.client_id}:{secret}" for client, secret in seeds.clients if client.kind == "machine")
    username, password = seeds.users[0]
    return "\n\n".join(
        (
            f"Open {stage.browser_app.url} and sign in as {username} / {password or 'the password you gave'}",
            "detent in development mode: only this machine can reach it.",
            _places(settings, stage),
            table(("PERSON", "PASSWORD"), seeds.users),
            table(("CLIENT", "SECRET", "KIND", "GRANTS"), clients),
            f"Try it; these lines can be pasted as they are:\n\n"
            f"{shell_lines(stage.issuer.url, stage.api.url, machine)}",
            "Ctrl-C stops it and keeps the data.",
        )
    )


def _places(settings: Settings, stage: Stage) -> str:
    web_app = _told(stage.web_app) if stage.web_app else f"not installed; {ADD_EXTRA} adds it"
    return "\n".join(
        (
            f"Demo browser app  {_told(stage.browser_app)}",
            f"Demo web app      {web_app}",
            f"Demo API          {stage.api.url}  (audience {DEMO_API})",
            f"Issuer            {stage.issuer.url}",
            f"Account page      {stage.issuer.url}account",
            f"Data              {settings.data.absolute()}",
        )
    )


def _told(place: Place) -> str:
    return place.url if place.wanted in (0, place.port) else f"{place.url}  (port {place.wanted} is taken)"
