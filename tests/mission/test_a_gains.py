"""Mission A19: the three gains of short access tokens with refresh tokens, measured over HTTP; docs/gains.md says them.

Each measurement makes one table of the page, which must be in it to the letter.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from detent.core.changes import InsertClient
from detent.core.policy import DAY, MINUTE, Overrides
from tests.serving import API, VAULT, Detent, client

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "gains.md"
PEOPLE, CALLS, DAYS = 20, 60, 30
Rows = Sequence[tuple[str, ...]]


def table(header: str, rows: Rows) -> str:
    heads = header.split("; ")
    lines = [heads, ["---"] * len(heads), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def said(name: str) -> str:
    """What stands in the page under this name."""
    return PAGE.read_text().split(f"<!-- {name} -->\n")[1].split("\n<!-- end -->")[0]


def hour_of_calls(detent: Detent, path: str, resource: str) -> tuple[str, ...]:
    """Everybody calls this API once a minute; sign-ins, refreshes, and what the API asked of the server."""
    guard = detent.guards[path]
    before = guard.counters
    held = [detent.sign_in("spa", resource=(resource,)) for _ in range(PEOPLE)]
    refreshes = 0
    for minute in range(CALLS):
        if minute and minute % 9 == 0:  # a minute before they end
            held = [detent.refreshed("spa", tokens["refresh_token"]) for tokens in held]
            refreshes += PEOPLE
        assert {detent.secret(tokens["access_token"], path).status_code for tokens in held} == {200}
        detent.clock.advance(MINUTE)
    after = guard.counters
    asked = [getattr(after, each) - getattr(before, each) for each in ("jwks_fetches", "status_list_fetches")]
    asked.append(after.introspections - before.introspections)
    return str(PEOPLE * CALLS), str(PEOPLE + refreshes), *map(str, asked), str(PEOPLE + refreshes + sum(asked))


def test_a19_less_load_on_the_server(detent: Detent) -> None:
    rows = [
        ("JWT, checked by the API", *hour_of_calls(detent, "/secret", API)),
        ("opaque, asked about", *hour_of_calls(detent, "/opaque/secret", VAULT)),
    ]
    header = (
        "access token; calls of the API; sign-ins and refreshes; fetches of keys; fetches of status lists; "
        "introspections; requests to the server"
    )
    assert said("load") == table(header, rows)


def minutes_open(detent: Detent, token: str) -> int:
    for minutes in range(2 * DAY // MINUTE):
        if detent.secret(token).status_code != 200:
            return minutes
        detent.clock.advance(MINUTE)
    raise AssertionError("it never ended")


def day_long(detent: Detent) -> str:
    """The name of an app without refresh tokens, which needs access tokens that last."""
    keys: Any = detent.house.outside.keys
    overrides = Overrides(access_life=DAY, idle=14 * DAY)
    fields = {"grant_types": ("authorization_code",), "overrides": overrides}
    detent.apply(InsertClient(client("long", "native", keys, **fields)))
    return "long"


def test_a19_a_leaked_token_is_good_for_a_shorter_time(detent: Detent) -> None:
    def leaked(name: str, end: Callable[[dict[str, Any]], object] = lambda tokens: None) -> str:
        tokens = detent.sign_in(name)
        assert detent.secret(tokens["access_token"]).status_code == 200  # with a status list from just now
        end(tokens)
        return f"{minutes_open(detent, tokens['access_token'])} min"

    def noticed(tokens: dict[str, Any]) -> None:
        assert detent.revoke(tokens["refresh_token"], "spa").status_code == 200

    rows = [
        ("an app without refresh tokens, access tokens for a day", leaked(day_long(detent))),
        ("native app", leaked("app")),
        ("browser app", leaked("spa")),
        ("browser app, noticed and revoked at once", leaked("spa", noticed)),
    ]
    assert said("leak") == table("whose access token; opens an API that asks nobody for", rows)


def sign_ins(detent: Detent, name: str) -> str:
    """How often a person signs in who opens the app once a day; a refresh goes before a sign-in."""
    counted, held = 0, dict[str, Any]()
    for _ in range(DAYS):
        answer = detent.refresh(name, held["refresh_token"]) if "refresh_token" in held else None
        if answer is not None and answer.status_code == 200:
            held = answer.json()
        else:
            held, counted = detent.sign_in(name), counted + 1
        assert detent.secret(held["access_token"]).status_code == 200
        detent.clock.advance(DAY)
    return str(counted)


def test_a19_a_session_slides_with_use(detent: Detent) -> None:
    lasting = day_long(detent)
    rows = [
        ("native app, refresh tokens", "1 h", sign_ins(detent, "app")),
        ("the same without refresh tokens", "1 d", sign_ins(detent, lasting)),
    ]
    assert said("sliding") == table(f"app; life of an access token; sign-ins in {DAYS} days", rows)
    tokens = detent.sign_in("app")
    detent.clock.advance(30 * DAY)
    assert detent.refresh("app", tokens["refresh_token"]).status_code == 400, "unused, it ends"
