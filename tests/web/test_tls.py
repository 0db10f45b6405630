"""TLS that the server ends itself: what it takes, what it gives up, and how a certificate is exchanged under way."""

import asyncio
import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import uvloop

from detent.core.exchange import Request, Response
from detent.registry.routes import Route
from detent.system import SystemEntropy
from detent.testing.server import Loopback, ServerThread
from detent.web import handshake
from detent.web import server as web_server
from detent.web.asgi import Edge
from detent.web.certificate import CertificateError, ServerCertificate, read_certificate
from detent.web.protocol import Protocol
from detent.web.server import port_of
from tests.attacks.test_h_connections import rest_of

SECONDS = 30  # that a busy machine may take


async def hello(request: Request) -> Response:
    return Response(200, request.body or b"hello")


class Authority:
    """Who signs, and the files of what it signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.trust = ssl.create_default_context()
        self.ca.configure_trust(self.trust)
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        self.issue()

    def issue(self, *hosts: str, key_type: trustme.KeyType = trustme.KeyType.ECDSA, until: Any = None) -> None:
        leaf = self.ca.issue_cert(*(hosts or ("localhost", "127.0.0.1")), key_type=key_type, not_after=until)
        self.certificate.unlink(missing_ok=True)
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(self.certificate, append=True)
        leaf.private_key_pem.write_to_path(self.key)
        self.key.chmod(0o600)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Served:
    """An application behind TLS, and raw ways to it."""

    def __init__(self, thread: ServerThread, authority: Authority) -> None:
        self.trust = authority.trust
        self.at = Loopback("localhost")
        self.at.url = self.at.url.replace("http:", "https:")
        self.shown = ServerCertificate(authority.certificate, authority.key)
        self.edge = Edge({"/": Route("/", ("GET", "POST"), hello)}, frozenset(), SystemEntropy(), frozenset({"/"}))
        self.at.tls = lambda: self.shown.context  # type: ignore[method-assign]
        thread.serve(self.edge, self.at)

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port_of(self.at.socket)), timeout=SECONDS)

    def secured(self, trust: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        return (trust or self.trust).wrap_socket(self.connected(), server_hostname="localhost")

    def get(self) -> httpx.Response:
        return httpx.get(self.at.url, verify=self.trust, timeout=SECONDS)


@pytest.fixture
def served(authority: Authority) -> Iterator[Served]:
    with ServerThread() as thread:
        yield Served(thread, authority)


def asked_on(wire: socket.socket) -> bytes:
    """The body of the answer to a request on this connection, which stays."""
    wire.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    received = b""
    while not received.endswith(b"hello"):
        chunk = wire.recv(4096)
        assert chunk, received
        received += chunk
    return received


def waited_for(what: Any) -> None:
    until = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_rfc9325_3_1_tls_1_2_and_1_3_with_forward_secrecy_and_aead(served: Served, version: ssl.TLSVersion) -> None:
    served.trust.minimum_version = served.trust.maximum_version = version
    with served.secured() as wire:
        asked_on(wire)
        name, spoken, _ = wire.cipher() or ("", "", 0)
        assert spoken == ("TLSv1.3" if version == ssl.TLSVersion.TLSv1_3 else "TLSv1.2")
        assert name.startswith(("TLS_", "ECDHE-"))
        assert "GCM" in name or "CHACHA20" in name


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES256-GCM-SHA384"])
def test_rfc9325_4_1_weaker_ciphers_find_nobody(served: Served, ciphers: str) -> None:
    served.trust.maximum_version = ssl.TLSVersion.TLSv1_2
    served.trust.set_ciphers(ciphers)
    with pytest.raises(OSError, match=r"."), served.secured():
        pass
    assert served.edge.crowd.given_up == {}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_rfc8996_tls_1_1_is_refused(served: Served) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError, match=r"."), served.secured(old):
        pass


def test_attack_h3_who_begins_no_handshake_is_hung_up_on_and_honest_ones_are_served_meanwhile(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "REQUEST_SECONDS", 0.5)
    with ExitStack() as opened:
        silent = [opened.enter_context(served.connected()) for _ in range(20)]
        slow = opened.enter_context(served.connected())
        slow.sendall(b"\x16\x03\x01\x02\x00\x01")  # the first bytes of a ClientHello
        assert served.get().content == b"hello"
        assert [rest_of(wire) for wire in (*silent, slow)] == [b""] * 21
    waited_for(lambda: served.edge.crowd.open == 0)


def test_attack_h3_h4_where_there_is_no_room_the_handshake_goes_that_waits_longest(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_server, "_most_connections", lambda: 8)
    monkeypatch.setattr(handshake, "REQUEST_SECONDS", 600.0)  # on a busy machine too nobody is given up for that
    with ServerThread() as thread, ExitStack() as opened:
        served = Served(thread, authority)
        silent = [opened.enter_context(served.connected()) for _ in range(30)]
        waited_for(lambda: served.edge.crowd.given_up.get(503, 0) == 22)
        assert served.get().content == b"hello"
        assert rest_of(silent[0]) == b""
        assert served.edge.crowd.open <= 8


def test_h12_what_is_no_tls_is_hung_up_on_and_harms_nobody(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    for said in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x03\xff\xff" + b"x" * 100, b"\x00" * 5000):
        with served.connected() as wire:
            wire.sendall(said)
            assert b"HTTP/1.1" not in rest_of(wire)
    assert served.get().status_code == 200
    assert not caplog.records


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(served: Served) -> None:
    """TLS 1.3: the client may speak in its last flight, before anybody here knows that the handshake is over."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = served.trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with served.connected() as wire:
        for _ in range(10):
            try:
                inside.do_handshake()
                break
            except ssl.SSLWantReadError:
                wire.sendall(outgoing.read())
                incoming.write(wire.recv(65536))
        inside.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly")
        wire.sendall(outgoing.read())
        incoming.write(rest_of(wire))
        assert inside.read(65536).endswith(b"early")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_many_at_once_are_all_answered_wherever_their_first_bytes_are_read(loop: Any, authority: Authority) -> None:
    with ServerThread(loop()) as thread:
        behind = Served(thread, authority)

        def ask(number: int) -> bytes:
            with behind.secured() as wire:
                return asked_on(wire)

        with ThreadPoolExecutor(8) as people:
            assert all(answer.endswith(b"hello") for answer in people.map(ask, range(40)))
        assert behind.edge.crowd.given_up == {}


def test_the_end_waits_for_no_handshake_and_for_the_request_under_way(authority: Authority) -> None:
    with ExitStack() as opened:
        with ServerThread() as thread:
            served = Served(thread, authority)
            silent = opened.enter_context(served.connected())
            idle = opened.enter_context(served.secured())
            asked_on(idle)
            waited_for(lambda: served.edge.crowd.open == 2)
            began = time.monotonic()
        assert time.monotonic() - began < SECONDS
        assert rest_of(silent) == b""
        assert rest_of(idle) == b""


async def test_the_end_comes_over_a_tls_connection_that_is_just_being_lost() -> None:
    """asyncio tells a protocol of the loss a step later; until then the server still counts it."""

    class Lost(asyncio.Transport):
        """As asyncio's TLS transport is in between: closed, and no good for a second time."""

        def is_closing(self) -> bool:
            return True

        def close(self) -> None:
            raise AssertionError("closed twice")

        def get_write_buffer_size(self) -> int:
            return 0

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return default

    edge = Edge({}, frozenset(), SystemEntropy())
    server = web_server.Server(edge)
    server.config.load()
    protocol = Protocol(server.config, server.server_state, {})
    protocol.connection_made(Lost())
    protocol.shutdown()
    protocol.connection_lost(None)
    assert edge.crowd.open == 0


def test_a_new_certificate_is_for_new_connections_and_what_goes_on_goes_on(
    authority: Authority, served: Served
) -> None:
    with served.secured() as before:
        asked_on(before)
        first = before.getpeercert(binary_form=True)
        assert served.shown.look() is False, "nothing has changed"
        authority.issue(key_type=trustme.KeyType.RSA)
        assert served.shown.look() is True
        with served.secured() as after:
            asked_on(after)
            assert after.getpeercert(binary_form=True) != first
        asked_on(before)


def test_a_certificate_that_cannot_be_used_replaces_nothing(authority: Authority, served: Served) -> None:
    authority.key.write_text("no key")
    with pytest.raises(CertificateError, match="no private key"):
        served.shown.look()
    assert served.shown.look() is False, "it is told once"
    assert served.get().status_code == 200
    authority.issue()
    assert served.shown.look() is True


def refusal(authority: Authority) -> str:
    with pytest.raises(CertificateError) as refused:
        read_certificate(authority.certificate, authority.key)
    return str(refused.value)


def test_what_is_wrong_with_a_certificate_is_said_in_a_sentence(authority: Authority) -> None:
    key = authority.key
    assert "cannot be read (No such file" in refusal_after(authority, lambda: key.unlink())
    assert "chmod 600" in refusal_after(authority, lambda: key.chmod(0o644))
    assert "no private key" in refusal_after(authority, lambda: key.write_text("x"))
    assert "no certificate" in refusal_after(authority, lambda: authority.certificate.write_text("x"))
    assert "is not the key of" in refusal_after(
        authority, lambda: trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(key)
    )
    past = datetime.now(UTC) - timedelta(seconds=1)
    assert "expired at" in refusal_after(authority, lambda: authority.issue(until=past))


def refusal_after(authority: Authority, harm: Any) -> str:
    authority.issue()
    assert read_certificate(authority.certificate, authority.key).covers("localhost")
    harm()
    return refusal(authority)


def test_a_key_that_is_locked_is_refused_and_nobody_is_asked_for_a_password(authority: Authority) -> None:
    from cryptography.hazmat.primitives import serialization as pem

    key = pem.load_pem_private_key(authority.key.read_bytes(), None)
    locked = pem.BestAvailableEncryption(b"secret")
    authority.key.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, locked))
    assert "locked with a password" in refusal(authority)


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("id.example", True), ("ID.example.", True), ("a.apps.example", True), ("192.0.2.1", True), ("::1", True),
        ("apps.example", False), ("a.b.apps.example", False), ("example", False), ("192.0.2.2", False), ("", False),
    ],
)  # fmt: skip
def test_rfc9525_6_3_which_hosts_a_certificate_is_good_for(authority: Authority, host: str, covered: bool) -> None:
    authority.issue("id.example", "*.apps.example", "192.0.2.1", "::1")
    assert read_certificate(authority.certificate, authority.key).covers(host) is covered


def test_files_that_are_links_are_followed_when_they_are_led_elsewhere(tmp_path: Path) -> None:
    """As a certificate is exchanged that a cluster mounts, or that certbot renews."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    Authority(tmp_path / "one")
    Authority(tmp_path / "two")
    live = tmp_path / "live"
    live.symlink_to("one")
    shown = ServerCertificate(live / "certificate.pem", live / "key.pem")
    live.unlink()
    os.symlink("two", live)
    assert shown.look() is True
    shutil.rmtree(tmp_path / "two")
    with pytest.raises(CertificateError):
        shown.look()
