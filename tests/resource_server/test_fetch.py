"""The standard-library `Fetch` on a real socket: no redirects, bounded, every failure is `Unavailable`."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from detent.resource_server import Unavailable, UrllibFetch

fetch = UrllibFetch()


class Issuer(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, bytes]]
    release: threading.Event

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.seen.append((self.command, self.path, body))
        if self.path == "/garbage":
            self.wfile.write(b"not HTTP\r\n\r\n")
            return
        if self.path == "/hang":
            self.release.wait()
            return
        if self.path == "/drip":
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
            while not self.release.wait(0.01):
                self.wfile.write(b"x")
            return
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            answer = b"moved"
        else:
            self.send_response(503 if self.path == "/down" else 200)
            self.send_header("Cache-Control", "max-age=60")
            answer = b"x" * int(self.path.partition("?")[2] or 2)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def base() -> Iterator[str]:
    Issuer.seen, Issuer.release = [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Issuer.release.set()
        server.shutdown()
        thread.join()


async def test_a_get_and_a_post_arrive(base: str) -> None:
    got = await fetch(base + "/jwks", headers={"Accept": "application/json"})
    assert (got.status, got.headers["cache-control"], got.body) == (200, "max-age=60", b"xx")
    assert (await fetch(base + "/down", headers={}, body=b"token=t")).status == 503
    assert Issuer.seen == [("GET", "/jwks", b""), ("POST", "/down", b"token=t")]


async def test_s3_a_redirect_is_not_followed(base: str) -> None:
    assert (await fetch(base + "/redirect", headers={})).status == 302
    assert [path for _, path, _ in Issuer.seen] == ["/redirect"]


async def test_loopback_is_asked_directly_whatever_proxy_is_set(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await fetch(base + "/jwks", headers={})).status == 200


async def test_an_answer_is_bounded(base: str) -> None:
    assert len((await fetch(f"{base}/?{fetch.max_body_bytes}", headers={})).body) == 131_072
    with pytest.raises(Unavailable):
        await fetch(f"{base}/?{fetch.max_body_bytes + 1}", headers={})


@pytest.mark.parametrize("path", ["/hang", "/drip"])
async def test_an_answer_that_does_not_end_is_given_up(base: str, path: str) -> None:
    with pytest.raises(Unavailable):
        await UrllibFetch(timeout_seconds=0.1)(base + path, headers={})


async def test_whatever_goes_wrong_is_unavailable(base: str) -> None:
    for url in [base + "/garbage", "http://127.0.0.1:1/", "http://127.0.0.1:99999/", "http://127.0.0.1:x/"]:
        with pytest.raises(Unavailable):
            await fetch(url, headers={})


async def test_an_insecure_address_is_never_asked() -> None:
    with pytest.raises(ValueError, match="URL"):
        await fetch("http://id.example/", headers={})
