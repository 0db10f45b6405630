"""The standard-library `Fetch` on a real socket: no redirects, bounded, every failure is `Unavailable`."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from detent.resource_server import StandardFetch, Unavailable

pytestmark = pytest.mark.quick

fetch = StandardFetch()


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
        if self.path.startswith("/drip"):
            self.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"X-Slow: " if self.path == "/drip-header" else b"\r\n"))
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


async def test_an_answer_is_bounded(base: str) -> None:
    assert len((await fetch(f"{base}/?{fetch.max_body_bytes}", headers={})).body) == 131_072
    with pytest.raises(Unavailable):
        await fetch(f"{base}/?{fetch.max_body_bytes + 1}", headers={})


@pytest.mark.parametrize("path", ["/hang", "/drip-body", "/drip-header"])
async def test_an_answer_that_does_not_end_is_given_up(base: str, path: str) -> None:
    with pytest.raises(Unavailable):
        await StandardFetch(timeout_seconds=0.1)(base + path, headers={})


async def test_whatever_goes_wrong_is_unavailable(base: str) -> None:
    for url in [base + "/garbage", "http://127.0.0.1:1/", base + "/ blank", base + "/\r\nX: y"]:
        with pytest.raises(Unavailable):
            await fetch(url, headers={})


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "pem").write_bytes(pem + builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")
    return context


async def test_rfc7517_5_a_certificate_that_nobody_vouches_for_is_not_trusted(tmp_path: Path) -> None:
    connections = 0

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(count, "127.0.0.1", 0, ssl=self_signed(tmp_path))
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="SSLCertVerificationError"):
            await fetch(f"https://localhost:{port}/jwks", headers={})
    assert connections == 0  # the handshake did not come to an end


async def test_an_insecure_address_is_never_asked() -> None:
    for url in ["http://id.example/", "http://127.0.0.1:0/"]:
        with pytest.raises(ValueError, match="URL"):
            await fetch(url, headers={})
