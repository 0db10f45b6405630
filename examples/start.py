"""Starts an example against the server of `./up`: registers what it needs there, and runs it with that in its
environment.

    .venv/bin/python -m examples.start secret|walk_through|small_app|token_app [--port PORT] [--strategy NAME]

What it registers it does with the `detent` command, as you would. Started again, it gives the client a new secret:
secrets are not kept anywhere but in the environment of the example that runs.
"""

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEMO_API = "https://demo-api.example/"  # ./up has this API, and the client and the person of the walk-through
SMALL_APP, SMALL_APP_FIRST = "https://small-app.example/", "https://small-app.example/first"
TOKEN_APP = "https://token-app.example/"
PORTS = {"secret": 3002, "walk_through": None, "small_app": 3000, "token_app": 3003}
MODULES = {"secret": "secret_api"}

Environment = dict[str, str]


class Detent:
    """The `detent` command on the data directory of `./up`."""

    def __init__(self, data: str) -> None:
        self._data = data

    def __call__(self, *arguments: str, typed: str = "", unless: str = "") -> Any:
        """The document that it prints; None where it refuses with the error `unless`. Ends the program at another."""
        command = [str(Path(sys.executable).with_name("detent")), *arguments, "--data", self._data, "--json"]
        ran = subprocess.run(command, input=typed, capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            return json.loads(ran.stdout)
        if unless and json.loads(ran.stderr)["error"] == unless:
            return None
        raise SystemExit(ran.stderr)

    def api(self, identifier: str, *fields: str) -> None:
        if self("api", "add", identifier, *fields, unless="already_exists") is None:
            self("api", "update", identifier, *fields)

    def person(self, username: str, password: str) -> None:
        if self("user", "show", username, unless="not_found") is None:
            self("user", "add", username, "--password-stdin", typed=password)

    def client(self, name: str, *fields: str) -> Environment:
        """A confidential client of this name, with a new secret."""
        known = [each["client_id"] for each in self("client", "list", "--limit", "1000") if each["client_name"] == name]
        if known:
            self("client", "update", known[0], *fields)
            client = self("client", "rotate-secret", known[0])
        else:
            client = self("client", "add", "--kind", "web", "--name", name, *fields)
        return {"CLIENT_ID": client["client_id"], "CLIENT_SECRET": client["client_secret"]}


def secret(detent: Detent, asked: argparse.Namespace) -> Environment:
    return {"AUDIENCE": DEMO_API}


def walk_through(detent: Detent, asked: argparse.Namespace) -> Environment:
    """Everything of it is published, and exists in development mode only."""
    return {"CLIENT_ID": "testclient", "CLIENT_SECRET": "secret", "APP_USER": "test", "APP_PASSWORD": "test"}


def small_app(detent: Detent, asked: argparse.Namespace) -> Environment:
    """Two people with published passwords, and a client whose refresh tokens turn strictly and live for 30 days."""
    detent.api(SMALL_APP, "--name", "Small app", "--access-life", "600")
    detent.api(SMALL_APP_FIRST, "--name", "Small app, first minute", "--access-life", "60")
    for number in ("1", "2"):
        detent.person(f"user{number}", f"password{number}")
    month = str(30 * 24 * 3600)
    grants = ("--grant", "password", "--grant", "refresh_token")
    lives = ("--rotating", "--overlap", "0", "--idle", month, "--absolute", month)
    client = detent.client("Small app", *grants, *lives, "--audience", SMALL_APP)
    return {**client, "AUDIENCE": SMALL_APP, "FIRST_AUDIENCE": SMALL_APP_FIRST}


def token_app(detent: Detent, asked: argparse.Namespace) -> Environment:
    """A client whose refresh tokens are JWTs; docs/strategies.md compares what may prove them good."""
    detent.api(TOKEN_APP, "--name", "Token app", "--scope", "read=Read what the token app keeps")
    callback = f"http://127.0.0.1:{asked.port}/callback"
    where = ("--redirect-uri", callback, "--audience", TOKEN_APP, "--scope", "read")
    client = detent.client(f"Token app, {asked.strategy}", *where, "--refresh-strategy", asked.strategy)
    return {**client, "AUDIENCE": TOKEN_APP}


PREPARE: dict[str, Callable[[Detent, argparse.Namespace], Environment]] = {
    "secret": secret,
    "walk_through": walk_through,
    "small_app": small_app,
    "token_app": token_app,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=PREPARE)
    parser.add_argument("--port", type=int, help="default: 3000 small_app, 3002 secret, 3003 token_app")
    parser.add_argument("--strategy", default="unique_claim", help="of token_app; default: unique_claim")
    parser.add_argument("--issuer", default="http://127.0.0.1:9400/", help="default: where ./up has it")
    parser.add_argument("--data", default=".detent/data", help="the data directory of ./up; default: .detent/data")
    asked, more = parser.parse_known_args()
    asked.port = asked.port or PORTS[asked.example]
    try:
        urllib.request.urlopen(f"{asked.issuer}health", timeout=5).close()  # noqa: S310 (where you say)
    except (OSError, ValueError) as error:
        raise SystemExit(f"Nothing answers at {asked.issuer} ({error}). Start it first: ./up") from None
    environment = {"ISSUER": asked.issuer, **PREPARE[asked.example](Detent(asked.data), asked)}
    module = f"examples.{MODULES.get(asked.example, asked.example)}"
    port = ["--port", str(asked.port)] if asked.port else []
    os.execve(sys.executable, [sys.executable, "-m", module, *port, *more], {**os.environ, **environment})  # noqa: S606


if __name__ == "__main__":
    main()
