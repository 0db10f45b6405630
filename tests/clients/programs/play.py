"""The life that every Python client leads, told as JSON lines (tests/clients/program.py): each line waits for one.

A program gives what it wrote on its library: how to begin and finish a sign-in, to refresh, to revoke, to sign out.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

Tokens = dict[str, Any]


def tell(step: str, **what: Any) -> str:
    """The answer: what a browser brought back, or nothing in particular."""
    print(json.dumps({"step": step, **what}, default=str), flush=True)
    line = sys.stdin.readline()
    if not line:
        sys.exit("nobody listens any more")
    return line.rstrip("\n")


def play(
    *,
    begin: Callable[[], str],
    finish: Callable[[str], Tokens],
    refresh: Callable[[Tokens], Tokens],
    revoke: Callable[[str], object],
    sign_out: Callable[[str], str],
) -> None:
    def sign_in() -> Tokens:
        tokens = dict(finish(tell("sign in", url=begin())))
        tell("signed in", tokens=tokens)
        return tokens

    def refused(which: str, tokens: Tokens) -> None:
        try:
            refresh(tokens)
        except Exception as error:  # whatever this library makes of it is what the test looks at
            told = {name: getattr(error, name, None) for name in ("error", "description", "error_code", "message")}
            tell("refused", which=which, name=type(error).__name__, text=str(error), **told)
        else:
            tell("refused", which=which, name="nothing was refused")

    tokens = sign_in()
    old = tokens
    for _ in range(5):
        tokens = {**tokens, **refresh(tokens)}
        tell("refreshed", tokens=tokens)
    refused("old", old)
    refused("newest", tokens)
    tokens = sign_in()
    revoke(tokens["refresh_token"])
    tell("revoked")
    refused("revoked", tokens)
    tell("sign out", url=sign_out(tokens["id_token"]))
