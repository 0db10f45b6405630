"""A data directory and the plan configurations to run the conformance suite with: `python -m conformance.prepare`.

It adds one person of whom everything is known and the suite's three clients, with `detent` itself, and writes the
configurations, which hold their secrets. Their refresh tokens rotate. Leaves: what the plans say, to plans.py.
"""

import argparse
import json
import secrets
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from conformance.plans import USERNAME, configuration, post_logout_redirect_uri, redirect_uri
from detent.cli import main as commands
from detent.demo.cast import USERS


def detent(data: Path, *arguments: str, typed: str = "") -> Any:
    """What the command says, run in this process."""
    done = CliRunner().invoke(
        commands, [*arguments, "--json", "--data", str(data)], input=typed, catch_exceptions=False
    )
    if done.exit_code:
        raise SystemExit(f"detent {arguments[0]} {arguments[1]}: {done.output}")
    return json.loads(done.stdout)


def person(data: Path) -> str:
    """Their password."""
    password = secrets.token_urlsafe(24)
    told = USERS["test"].items()
    claims = [f"--claim={name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in told]
    detent(data, "user", "add", USERNAME, "--password-stdin", *claims, typed=f"{password}\n")
    return password


def client(data: Path, suite: str, method: str) -> dict[str, str]:
    """As the basic plans want one: no PKCE, and a nonce only where a module sends it (OpenID Connect Core §3.1.2.1)."""
    told = detent(
        data, "client", "add", "--kind=web", "--name=Conformance suite", f"--auth-method={method}", "--rotating",
        f"--redirect-uri={redirect_uri(suite)}", f"--post-logout-redirect-uri={post_logout_redirect_uri(suite)}",
        "--no-require-pkce", "--metadata=require_nonce=false",
    )  # fmt: skip
    return {"client_id": told["client_id"], "client_secret": told["client_secret"]}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--issuer", default="https://localhost:9443/", help="where the suite finds detent, over TLS")
    parser.add_argument("--suite", default="https://localhost:8443", help="the suite's base URL")
    parser.add_argument("folder", type=Path, help="a new folder: data/, static.json, dynamic.json")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True)
    data = chosen.folder / "data"
    password = person(data)
    basic = ("client", "client2")
    clients = {name: client(data, chosen.suite, "client_secret_basic") for name in basic}
    clients["client_secret_post"] = client(data, chosen.suite, "client_secret_post")
    opening = detent(data, "registration-token", "add", "--name=Conformance suite", "--uses=0")["token"]
    named = {name: {"client_name": f"Conformance {name}", "initial_access_token": opening} for name in basic}
    for file, told in (("static", clients), ("dynamic", named)):
        written = configuration(chosen.issuer, password, **told)
        (chosen.folder / f"{file}.json").write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
