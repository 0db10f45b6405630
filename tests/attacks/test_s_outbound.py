"""Attacks through addresses that somebody else names (rows S2, S3, S5), over HTTP: fetched once, never inward, no word.

The guard itself is asked in tests/webhooks/test_outbound.py. S8 comes with sign-in at other providers, and S7
is in test_s_logout.py.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.testing.server import Loopback
from detent.web.outbound import LOOPBACK, Outbound
from tests.asserting import Asserting
from tests.browsing import Browser
from tests.endpoints.test_registration import Registering
from tests.published import Published, jwks
from tests.serving import Detent, running
from tests.webhooks.test_outbound import resolving

pytestmark = pytest.mark.quick

NAMED = "https://app.example/document"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """Nothing inside may be reached."""
    settings: dict[str, Any] = {"request_uri": True, "registering": "token", "client_id_metadata_documents": True}
    with running(tmp_path_factory.mktemp("outside"), keys_folder, "memory", outbound=Outbound(), **settings) as served:
        yield served


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """Loopback may be reached."""
    folder = tmp_path_factory.mktemp("near")
    with running(folder, keys_folder, "memory", outbound=Outbound(LOOPBACK), request_uri=True) as served:
        yield served


def keys_at(detent: Detent, uri: str) -> httpx.Response:
    """A client whose keys are there authenticates."""
    return Asserting(detent, extra={"jwks": None, "jwks_uri": uri}).token()


def told(answer: httpx.Response) -> tuple[int, str, str]:
    """Less the support id, which is another one each time."""
    body = answer.json()
    return answer.status_code, body["error"], body["error_description"].replace(body["support_id"], "")


def test_attack_s2_a_name_with_a_private_address_among_its_addresses_is_not_reached(
    house: Detent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connected(*_: Any, **__: Any) -> Any:
        raise AssertionError("it connected")

    for addresses in (["10.0.0.1"], ["93.184.216.34", "169.254.169.254"], ["93.184.216.34", "127.0.0.1"]):
        with resolving(monkeypatch, addresses) as asked, monkeypatch.context() as patch:
            patch.setattr(asyncio, "open_connection", connected)
            assert keys_at(house, NAMED).status_code == 503
            assert asked == ["app.example"]


def test_attack_s2_of_a_name_that_resolves_anew_the_address_that_was_looked_at_is_reached(
    house: Detent, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[str] = []

    async def connected(host: str, port: int, **more: Any) -> Any:
        went.append(f"{host} as {more['server_hostname']}")
        raise ConnectionRefusedError

    with resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"]) as asked, monkeypatch.context() as patch:
        patch.setattr(asyncio, "open_connection", connected)
        assert keys_at(house, NAMED).status_code == 503
    assert (went, asked) == (["93.184.216.34 as app.example"], ["app.example"])


def test_attack_s3_no_redirect_is_followed(near: Detent) -> None:
    """Neither inward nor to another port nor from https to http: none at all."""
    trap, document = Loopback(), Published()
    near.thread.serve(document, document.at)
    signing = Asserting(near, kind="web", extra={"request_uris": [document.url]})
    document.headers["location"] = trap.url
    with trap.socket, Browser(near) as browser:
        trap.socket.settimeout(0)
        for document.status in (301, 302, 303, 307, 308):
            assert keys_at(near, document.url).status_code == 503
            assert browser.authorize(signing.name, request_uri=document.url).answer["error"] == "invalid_request_uri"
        with pytest.raises(BlockingIOError):
            trap.socket.accept()
    document.status, document.body = 200, jwks(signing.key)
    assert document.asked == 10


STRANGE = (
    "http://app.example/x", "https://user@app.example/x", "https://app.example/x\r\nHost: inside", "ftp://app.example/x",
    "file:///etc/passwd", "gopher://x/", "https://[::1/", "//app.example/x", "https:/x",
)  # fmt: skip


@pytest.mark.parametrize("member", ["jwks_uri", "sector_identifier_uri", "request_uris"])
def test_attack_s3_an_address_that_is_none_is_not_registered(house: Detent, member: str) -> None:
    registering = Registering(house)
    for uri in STRANGE:
        named = [uri] if member == "request_uris" else uri
        metadata = {"redirect_uris": ["https://app.example/cb"], member: named}
        answer = registering.ask(metadata, registering.token())
        assert (answer.status_code, answer.json().get("error")) == (400, "invalid_client_metadata"), (uri, answer.text)


def test_attack_s5_an_answer_says_nothing_of_what_is_inside(near: Detent, house: Detent) -> None:
    """Whether there is a host, a port, a page or a key set, and what it said: all the same to who asked."""
    document, closed = Published(b"secret of the inside"), Loopback()
    near.thread.serve(document, document.at)
    closed.socket.close()
    places = [document.url, closed.url, "https://nowhere.invalid/", "https://10.0.0.1/", "https://[fd00::1]/"]
    answers = {told(keys_at(near, place)) for place in places}
    document.status = 500
    answers.add(told(keys_at(near, document.url)))
    assert len(answers) == 1, answers
    assert not any(word in str(answers) for word in ("secret", "10.0", "refused", "resolve", "connect"))
    with Browser(house) as browser:
        pages = [browser.authorize(f"https://{host}/app") for host in ("10.0.0.1", "nowhere.invalid", "localhost")]
    said = {page.text.replace(page.support_id, "") for page in pages}
    assert len(said) == 1, said
