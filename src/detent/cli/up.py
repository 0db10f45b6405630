"""`detent up`: development mode. One command, no question: people, clients, APIs and apps to try everything with.

Only this machine can reach it; the data directory keeps what was done, and production refuses that directory.
"""

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from detent.admin.documents import created_document
from detent.cli.certificates import Local, kept_current, local
from detent.cli.office import STORE_FILE, opened
from detent.cli.operation import Answer, answered, common_options, settings_from, show, table
from detent.cli.serving import at_work, run
from detent.cli.stage import ADD_EXTRA, Place, Stage, built, web_app_if_installed
from detent.cli.walkthrough import shell_lines
from detent.demo.api import demo_api
from detent.demo.browser_app import browser_app
from detent.demo.cast import DEMO_API, VAULT, WEB_APP, both_names
from detent.demo.seeds import SECRETS_FILE, Seeds, development_secrets, seed
from detent.resource_server.fetch import StandardFetch
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
@click.option("--https", is_flag=True, help="By https, with an authority of its own that you can trust.")
def up(as_json: bool, data: str | None, config: Path | None, port: str | None, https: bool) -> None:
    """Start a server to try everything with, on this machine only."""

    def start() -> None:
        settings = settings_from(config, data=data, port=port)
        if problems := [*development_problems(settings), *_production_data(settings)]:
            raise SettingsError(*problems)
        run(_up(settings, as_json, https))
        if not as_json:
            click.echo(f"\nStopped. The same command comes back to it: all is kept in {settings.data.absolute()}.")

    answered(start, as_json)


async def _up(settings: Settings, as_json: bool, https: bool) -> None:
    web_app = web_app_if_installed()
    own = local(settings.data) if https else None
    tls, trust, trusted = (own.certificate.context, own.trust, (own.authority,)) if own else (None, None, ())
    with ExitStack() as stack:
        stack.enter_context(logging_to(sys.stderr, settings.log_level))
        stage = built(settings.port, web_app is not None, stack, https=https)
        secrets = development_secrets(settings.data, SystemEntropy())
        async with opened(settings, issuer=stage.issuer.url, create=True, trusted=trusted) as office:
            seeds = await seed(secrets, office.directory, office.registrations, office.people, stage.apps)
            where = (stage.issuer.url, stage.api.url, DEMO_API)
            api = demo_api(
                stage.issuer.url,
                DEMO_API,
                VAULT,
                seeds.introspection,
                origins=(stage.apps.browser,),
                reached_at=both_names(stage.api.origin),
                fetch=StandardFetch(trust=trust),
            )
            served = [
                Served(office.house.asgi, stage.issuer.sockets, tls),
                Served(api, stage.api.sockets, tls),
                Served(browser_app(stage.apps.browser, *where), stage.browser_app.sockets, tls),
            ]
            if web_app and stage.web_app:
                credentials = (WEB_APP, secrets[WEB_APP])
                made = web_app(stage.apps.web, *where, credentials, trust or True)
                served.append(Served(made, stage.web_app.sockets, tls))
            answer = Answer(_document(stage, seeds, own), _screen(settings, stage, seeds, own))
            async with at_work(office), kept_current(*((own.certificate, own.renew) if own else (None,))):
                await serve_until_signal(served, lambda: show(answer, as_json))


def _production_data(settings: Settings) -> list[Problem]:
    if (settings.data / SECRETS_FILE).exists() or not (settings.data / STORE_FILE).exists():
        return []
    fault = (
        f"{settings.data} holds a store that `detent up` did not make, and it would get secrets that everybody knows. "
        "Choose another directory with --data."
    )
    return [Problem("data", settings.source("data"), fault)]


def _document(stage: Stage, seeds: Seeds, own: Local | None) -> dict[str, Any]:
    return {
        "issuer": stage.issuer.url,
        "certificate_authority": str(own.authority) if own else None,
        "dashboard": None,
        "demo_api": stage.api.url,
        "demo_browser_app": stage.browser_app.url,
        "demo_web_app": stage.web_app.url if stage.web_app else None,
        "clients": [{"client_secret": None, **created_document(client, secret)} for client, secret in seeds.clients],
        "users": [{"username": name, "password": password} for name, password in seeds.users],
    }


def _screen(settings: Settings, stage: Stage, seeds: Seeds, own: Local | None) -> str:
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
            *((_trusting(own.authority),) if own else ()),
            table(("PERSON", "PASSWORD"), seeds.users),
            table(("CLIENT", "SECRET", "KIND", "GRANTS"), clients),
            f"Try it; these lines can be pasted as they are:\n\n"
            f"{shell_lines(stage.issuer.url, stage.api.url, machine, own.authority if own else None)}",
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


def _trusting(authority: Path) -> str:
    from detent.cli.authority import trusting_line

    named = shlex.quote(str(authority))
    return (
        f"Nobody trusts its certificate yet. For all of this machine, and for these names of it alone:\n\n"
        f"{trusting_line(authority)}\n\n"
        f"For one program: curl --cacert {named}, or in its environment NODE_EXTRA_CA_CERTS={named} (Node), "
        f"SSL_CERT_FILE={named} (Python, OpenSSL). Browsers on Linux have lists of their own: docs/https.md."
    )


def _told(place: Place) -> str:
    return place.url if place.wanted in (0, place.port) else f"{place.url}  (port {place.wanted} is taken)"
