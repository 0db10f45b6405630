"""What an attack may do to a family and what it may not, asked over HTTP; and requests that race each other."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from detent.core.events import Event
from tests.serving import CONFIDENTIAL, SECRET, VAULT, Detent

Tokens = dict[str, Any]
Race = Callable[[Sequence[httpx.Request]], list[httpx.Response]]
AFTER_EVERY_OVERLAP = 61


@pytest.fixture
def ongoing(standing: Detent) -> Detent:
    """One house for a whole module: its clock only goes on, and its sink starts empty for each test."""
    standing.sink.events.clear()
    return standing


@pytest.fixture(params=["on sockets", "in one tick"])
def race(request: pytest.FixtureRequest, ongoing: Detent) -> Race:
    """Sends requests together: on as many sockets, or all of them in one tick of the server's loop.

    Sockets are the real thing; in one tick every request reads the family before any of them writes.
    """

    def on_sockets(requests: Sequence[httpx.Request]) -> list[httpx.Response]:
        return ongoing.at_once(len(requests), lambda index: ongoing.http.send(requests[index]))

    def in_one_tick(requests: Sequence[httpx.Request]) -> list[httpx.Response]:
        return ongoing.thread.call(_gathered(ongoing, requests))

    return on_sockets if request.param == "on sockets" else in_one_tick


async def _gathered(detent: Detent, requests: Sequence[httpx.Request]) -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(detent.house.asgi)) as inside:
        return await asyncio.gather(*map(inside.send, requests))


def asking(detent: Detent, path: str, client: str, **form: str) -> httpx.Request:
    """A request of this client, not sent yet."""
    secret = {"client_secret": SECRET} if client in CONFIDENTIAL else {}
    return detent.http.build_request("POST", path, data={"client_id": client, **secret, **form})


def refreshing(detent: Detent, client: str, refresh_token: str) -> httpx.Request:
    return asking(detent, "/oauth/token", client, grant_type="refresh_token", refresh_token=refresh_token)


def signed_in(detent: Detent, client: str) -> Tokens:
    """The tokens of a new sign-in: for VAULT, whose API may introspect the access tokens of public clients too."""
    return detent.sign_in(client, resource=VAULT if client == "testclient" else (VAULT,))


def stranded(detent: Detent, client: str) -> str:
    """A parent that got an access token only an hour ago, after three more generations in a row that came again."""
    token: str = signed_in(detent, client)["refresh_token"]
    for _ in range(4):
        detent.clock.advance(3600)
        detent.refreshed(client, token)
        token = detent.refreshed(client, token).get("refresh_token", token)
    assert "refresh_token" not in detent.refreshed(client, token)
    detent.clock.advance(3600)
    return token


def chained(detent: Detent, client: str, generations: int) -> list[Tokens]:
    """The answers of one family from its sign-in on, each refresh after the overlap of the one before."""
    chain = [signed_in(detent, client)]
    while len(chain) < generations:
        detent.clock.advance(AFTER_EVERY_OVERLAP)
        chain.append(detent.refreshed(client, chain[-1]["refresh_token"]))
    return chain


def assert_refused(answer: httpx.Response, error: str = "invalid_grant", status: int = 400) -> None:
    """RFC 6749 §5.2: the registered code, a sentence with the support id, and nothing that may be cached."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, error), answer.text
    assert set(body) == {"error", "error_description", "support_id"}
    assert body["support_id"] in body["error_description"]
    assert answer.headers["cache-control"] == "no-store"


def active(detent: Detent, *chain: Tokens) -> list[bool]:
    return [detent.introspect(tokens["access_token"], "demo-api")["active"] for tokens in chain]


def assert_killed(detent: Detent, client: str, chain: Sequence[Tokens]) -> None:
    """KILL: every refresh token of the family is dead, and every access token reads inactive."""
    assert active(detent, *chain) == [False] * len(chain)
    for tokens in reversed(chain):
        assert_refused(detent.refresh(client, tokens["refresh_token"]))


def assert_unharmed(detent: Detent, client: str, chain: Sequence[Tokens]) -> Tokens:
    """Every access token is active and the last refresh token works; returns what it gives."""
    assert active(detent, *chain) == [True] * len(chain)
    return detent.refreshed(client, chain[-1]["refresh_token"])


def audited(detent: Detent, about: str, name: str) -> list[Event]:
    """The events of this name about a family, in the audit log of the store."""
    found = detent.thread.call(detent.house.outside.directory.events(about=about))
    return [event for _, event in found if event.name == name]


def noticed(detent: Detent, *names: str) -> list[Event]:
    """The events of these names that the sink got, about whatever."""
    return [event for event in detent.sink.events if event.name in names]
