"""Apps that want to be told when a session ends: an endpoint on a real socket that reads logout tokens by the book."""

import asyncio
import queue
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet

from detent.core.changes import InsertClient
from detent.core.logout import OWED
from detent.testing.clock import ManualClock
from detent.testing.server import Loopback, ServerThread
from detent.tokens.logout_token import LogoutTokens
from detent.web.asgi import Receive, Scope, Send
from detent.web.outbound import LOOPBACK, Outbound
from detent.webhooks.logouts import LogoutCourier
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of as unverified
from tests.serving import Detent, client, running

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
HANG: Final = 0
HANGING_SECONDS: Final = 1


class LogoutReceiver:
    """An app's endpoint. Answers with the statuses that were told, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = deque(statuses)
        self.got: queue.Queue[str] = queue.Queue()
        self.at = Loopback()
        self.url = f"{self.at.url}logout?app=hidden"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        assert (scope["method"], headers["content-type"]) == ("POST", "application/x-www-form-urlencoded")
        [(name, [token])] = parse_qs(body.decode(), strict_parsing=True).items()
        assert name == "logout_token"
        self.got.put(token)
        status = self.statuses.popleft() if self.statuses else 200
        if status == HANG:
            await asyncio.sleep(HANGING_SECONDS)
        elsewhere = [(b"location", self.at.url.encode())] if 300 <= status < 400 else []
        await send({"type": "http.response.start", "status": status or 200, "headers": elsewhere})
        await send({"type": "http.response.body", "body": b""})

    def all(self) -> list[str]:
        """Those that came so far."""
        return [self.got.get() for _ in range(self.got.qsize())]

    def one(self) -> str:
        [token] = self.all()
        return token


@contextmanager
def told(
    folder: Path, keys_folder: Path, clock: ManualClock | None = None, seconds: float = 10, **more: Any
) -> Iterator[Detent]:
    """A house that may post to loopback, as in development."""
    with running(folder, keys_folder, clock=clock, outbound=Outbound(LOOPBACK, seconds=seconds), **more) as served:
        yield served


def app(
    detent: Detent, name: str, *statuses: int, kind: Any = "native", at: ServerThread | None = None, **extra: Any
) -> LogoutReceiver:
    """A client of this name whose logout tokens come to the receiver; `at` serves one that outlives the house."""
    receiver = LogoutReceiver(*statuses)
    (at or detent.thread).serve(receiver, receiver.at)
    register(detent, name, receiver.url, kind, **extra)
    return receiver


def register(detent: Detent, name: str, uri: str, kind: Any = "native", **extra: Any) -> None:
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client(name, kind, keys, extra={"backchannel_logout_uri": uri, **extra})))


def deliver(detent: Detent) -> None:
    """All that is due now."""
    detent.thread.call(detent.house.logouts.round())


def another(detent: Detent) -> LogoutCourier:
    """Another node's, on the same store."""
    outside, house = detent.house.outside, detent.house
    tokens = LogoutTokens(house.issuer, outside.keys, house.disclosure, (), outside.entropy)
    ports = (outside.store, outside.directory, outside.clock, outside.entropy, outside.sink, outside.metrics)
    return LogoutCourier(*ports, tokens, house.outbound)


def backlog(detent: Detent) -> int:
    return len(detent.thread.call(detent.house.outside.directory.records(OWED)))


def claims_of(detent: Detent, token: str, name: str, algs: tuple[str, ...] = ("RS256",)) -> dict[str, Any]:
    """OpenID Connect Back-Channel Logout §2.6, as an app checks it, by the published keys."""
    keys = KeySet.import_key_set(detent.http.get("/.well-known/jwks.json").json())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # that EdDSA will be called Ed25519
        read = jwt.decode(token, keys, algorithms=list(algs))
    claims = dict(read.claims)
    assert read.header["typ"] == "logout+jwt"
    assert (claims["iss"], claims["aud"]) == (detent.issuer, name)
    now = detent.clock.now()
    assert claims["iat"] <= now < claims["exp"] <= claims["iat"] + 120
    assert claims["events"] == {EVENT: {}}
    assert claims["jti"]
    assert "nonce" not in claims
    return claims


def sid_of(tokens: dict[str, Any]) -> str:
    sid: str = unverified(tokens["id_token"])["sid"]
    return sid


def opened(detent: Detent) -> Browser:
    """A browser that is closed with the house."""
    browser = Browser(detent)

    async def close() -> None:
        browser.http.close()

    detent.thread.at_exit(close)
    return browser


def signed_in(detent: Detent, *names: str, scope: str = "openid") -> tuple[Browser, dict[str, Any]]:
    """A person who signed in to these apps in one browser, and the tokens of each."""
    browser = opened(detent)
    return browser, {name: browser.tokens(name, scope=scope) for name in names}
