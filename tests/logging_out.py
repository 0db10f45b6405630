"""Apps that want to be told when a session ends: an endpoint on a real socket that reads logout tokens by the book."""

import warnings
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
from detent.testing.server import ServerThread
from detent.tokens.logout_token import LogoutTokens
from detent.web.outbound import LOOPBACK, Outbound
from detent.webhooks.logouts import LogoutCourier
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of as unverified
from tests.receiving import Receiving
from tests.serving import Detent, client, running

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


class LogoutReceiver(Receiving[str]):
    """An app's endpoint; what it gets are logout tokens."""

    path = "logout?app=hidden"
    done = 200
    hanging_seconds = 1

    def read(self, method: str, headers: dict[str, str], body: bytes) -> str:
        assert (method, headers["content-type"]) == ("POST", "application/x-www-form-urlencoded")
        [(name, [token])] = parse_qs(body.decode(), strict_parsing=True).items()
        assert name == "logout_token"
        return token

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
