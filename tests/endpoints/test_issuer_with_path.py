"""An issuer with a path, as behind a proxy that takes the path off: discovery (RFC 8414 §3.1), and a whole sign-in."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import httpx
import pytest

from detent.testing.server import Loopback
from tests.browsing import Browser, request_of
from tests.serving import API, REDIRECT_URI, VERIFIER, Detent, running

pytestmark = pytest.mark.quick

INSERTED = "/.well-known/oauth-authorization-server/id"


class Proxy:
    """Serves what stands beneath /id/, and the document that RFC 8414 wants elsewhere."""

    def __init__(self, house: Any) -> None:
        self.house = house

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if path != INSERTED:
            assert scope["type"] != "http" or path.startswith("/id/"), path
            raw = scope.get("raw_path", b"").removeprefix(b"/id")
            scope = {**scope, "path": path.removeprefix("/id"), "raw_path": raw}
        await self.house(scope, receive, send)


@pytest.fixture
def front(tmp_path: Path, keys_folder: Path) -> Iterator[tuple[str, Detent]]:
    front = Loopback()
    with running(tmp_path, keys_folder, "memory", public=f"{front.url}id/") as served:
        served.thread.serve(Proxy(served.house.asgi), front)
        yield front.url, served


def test_rfc8414_3_1_the_document_is_also_where_the_path_comes_last(front: tuple[str, Detent]) -> None:
    origin, served = front
    told = httpx.get(origin.rstrip("/") + INSERTED).json()
    assert told["issuer"] == served.issuer == f"{origin}id/"
    assert httpx.get(f"{origin}id/.well-known/openid-configuration").json() == told


def test_a_person_signs_in_beneath_the_path(front: tuple[str, Detent]) -> None:
    origin, _ = front
    told = httpx.get(f"{origin}id/.well-known/openid-configuration").json()
    with Browser(cast(Any, SimpleNamespace(url=origin, issuer=origin, host={}))) as browser:
        query = urlencode(request_of("app", resource=API, scope="read"))
        page = browser.log_in(browser.open(f"{told['authorization_endpoint']}?{query}"))
        answer = browser.press(page, "consent-accept").answer
    form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": REDIRECT_URI}
    form |= {"client_id": "app", "code_verifier": VERIFIER}
    assert answer["iss"] == told["issuer"]
    assert httpx.post(told["token_endpoint"], data=form).json()["token_type"] == "Bearer"
