"""Requests as no HTTP library would make them, for the rows that attack HTTP and parsing."""

import json
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.attacks.outcomes import assert_unharmed, signed_in
from tests.serving import Detent

BASIC = "Basic dGVzdGNsaWVudDpzZWNyZXQ="
FORM = "application/x-www-form-urlencoded"
DOORS = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")


def posted(detent: Detent, path: str, content: bytes | str | Iterator[bytes], **headers: str) -> httpx.Response:
    """A body as it is, from `testclient`; header names with `_` for `-`."""
    named = {"Authorization": BASIC, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return detent.http.post(path, content=content, headers=named)


class Answer:
    """The answer to bytes that no HTTP library would send."""

    def __init__(self, detent: Detent, request: bytes) -> None:
        host = urlsplit(detent.issuer)
        with socket.create_connection((host.hostname, host.port), timeout=60) as wire:
            wire.sendall(request)
            response = HTTPResponse(wire)
            response.begin()
            self.status_code = response.status
            self.headers = {name.lower(): value for name, value in response.getheaders()}
            self.text = response.read().decode()

    def json(self) -> Any:
        return json.loads(self.text)


def refreshing(detent: Detent) -> tuple[dict[str, str], Callable[[], None]]:
    """The form of a good refresh, and a check that a refusal has not spent it."""
    mine = signed_in(detent, "testclient")
    form = {"grant_type": "refresh_token", "refresh_token": mine["refresh_token"], "token": mine["access_token"]}

    def unharmed() -> None:
        assert_unharmed(detent, "testclient", [mine])

    return form, unharmed
