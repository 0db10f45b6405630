"""Where the server sends nothing, whoever names the address: SSRF (OWASP), and answers that are no answers."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from detent.testing.server import Loopback, ServerThread
from detent.web.outbound import LOOPBACK, MAX_ANSWER_BYTES, Outbound, Unreachable, url_fault
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.quick

BODY = b'{"type":"test","data":{}}'
SIGNED = {"webhook-id": "1", "content-type": "application/json"}
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def why(url: str, outbound: Outbound) -> str:
    """Why nothing came of it, or the status that came."""
    try:
        return str(await outbound.post(url, SIGNED, BODY))
    except Unreachable as error:
        return str(error)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hook.example/", "https:///x", "https://hook.example/#x", "https://a:b@hook.example/", "hook.example",
        "https://hook.example/ x", "https://hook.example/\r\nX: y", "https://hook.example:0/", "https://[::1/", "",
        "https://hook.example:99999/", "https://höök.example/", "https://hook.example/" + 2000 * "x",
    ],
)  # fmt: skip
def test_attack_s3_a_url_that_nothing_can_be_sent_to_has_a_fault(url: str) -> None:
    assert url_fault(url)
    assert not url_fault("https://hook.example:8443/path?token=x")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0", "224.0.0.1",
        "255.255.255.255", "198.18.0.1", "[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[::ffff:10.0.0.1]",
        "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "2130706433",
        "0x7f000001", "127.1",
    ],
)  # fmt: skip
async def test_attack_s1_owasp_ssrf_an_address_that_is_not_public_is_not_even_knocked_at(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def knocked(*_: Any, **__: Any) -> None:
        raise AssertionError("it connected")

    monkeypatch.setattr(asyncio, "open_connection", knocked)
    assert "is not a public address" in await why(f"https://{address}/", Outbound())


@contextmanager
def resolving(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> Iterator[list[str]]:
    """Each question after a name gets the next of these answers, and the last one from then on."""
    asked: list[str] = []
    left = list(answers)

    async def getaddrinfo(_: Any, host: str, port: int, **__: Any) -> list[Any]:
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    with monkeypatch.context() as patch:
        patch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", getaddrinfo)
        yield asked


async def test_attack_s2_owasp_ssrf_one_private_address_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with resolving(monkeypatch, ["93.184.216.34", "10.0.0.1"]):
        assert "10.0.0.1 is not a public address" in await why("https://hook.example/", Outbound())


async def test_attack_s2_owasp_ssrf_a_name_that_resolves_anew_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the connection goes to the address that was checked, and the name is asked for once."""
    went: list[str] = []

    async def connect(host: str, port: int, **more: Any) -> None:
        went.append(f"{host} as {more['server_hostname']}")
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", connect)
    with resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"]) as asked:
        assert await why("https://hook.example/", Outbound()) == "no connection (ConnectionRefusedError)"
    assert (went, asked) == (["93.184.216.34 as hook.example"], ["hook.example"])


async def test_plain_http_goes_to_loopback_alone_and_only_if_that_is_allowed() -> None:
    private = ipaddress.ip_network("10.0.0.0/8")
    assert "plain http" in await why("http://10.0.0.1/", Outbound([private]))
    assert "not a public address" in await why("http://127.0.0.1/", Outbound([private]))


async def test_a_name_that_there_is_not_is_no_fault_of_ours() -> None:
    assert await why("https://nowhere.invalid/", Outbound()) == "the name cannot be resolved"


def test_the_certificate_must_be_the_names_and_of_somebody_who_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    good, wrong = authority.issue_cert("127.0.0.1"), authority.issue_cert("hook.example")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with ServerThread() as thread:
        said = []
        for name, issued, trust in (("good", good, trusting), ("wrong", wrong, trusting), ("unknown", good, None)):
            issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
            receiver = Receiver(at=Loopback(certificate=tmp_path / name))
            thread.serve(receiver, receiver.at)
            said.append(thread.call(why(receiver.at.url, Outbound(LOOPBACK, trust=trust))))
    assert said == ["204", "TLS failed (CERTIFICATE_VERIFY_FAILED)", "TLS failed (CERTIFICATE_VERIFY_FAILED)"]


def test_an_authority_of_a_closed_network_is_trusted_beside_the_systems_and_its_hosts_go_by_name(
    tmp_path: Path,
) -> None:
    """`extra_ca` and `outbound_allow`: the name is resolved, and the list is of what it resolves to."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "pem")
    receiver = Receiver(at=Loopback("localhost", tmp_path / "pem"))
    elsewhere = ipaddress.ip_network("10.0.0.0/8")
    with ServerThread() as thread:
        thread.serve(receiver, receiver.at)
        allowed, known = {"allowed": LOOPBACK}, {"authorities": (tmp_path / "ca",)}
        ways: list[dict[str, Any]] = [{**allowed, **known}, allowed, {"allowed": (elsewhere,), **known}]
        told = [thread.call(why(receiver.at.url, Outbound(**way))) for way in ways]
    assert told[:2] == ["204", "TLS failed (CERTIFICATE_VERIFY_FAILED)"]
    assert "is not a public address (setting outbound_allow)" in told[2]


@contextmanager
def peer(thread: ServerThread, answer: Peer) -> Iterator[str]:
    """The URL of somebody who speaks as it likes."""
    at = Loopback()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(answer, sock=at.socket)

    server = thread.call(start())
    yield at.url
    thread.submit(asyncio.sleep(0)).result()
    server.close()


def saying(*parts: bytes, end: bool = True) -> Peer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        for part in parts:
            writer.write(part)
            await writer.drain()
        if end:
            writer.close()
        else:
            await reader.read()  # until we hang up
            writer.close()

    return answer


ANSWERS = {
    "a status and nothing else": (saying(b"HTTP/1.1 202 OK\r\n\r\n"), "202"),
    "an interim answer first": (saying(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"), "200"),
    "chunks": (saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", end=False), "200"),
    "a body without end": (saying(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2 * MAX_ANSWER_BYTES), end=False), "200"),
    "headers without end": (saying(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 20_000, end=False), "the answer is not HTTP"),
    "nothing": (saying(), "the answer is not HTTP"),
    "something else": (saying(b"SSH-2.0-OpenSSH_9.6\r\n"), "the answer is not HTTP"),
    "half of a head": (saying(b"HTTP/1.1 200 OK\r\n"), "the answer is not HTTP"),
    "nothing, for ever": (saying(end=False), "no answer within 0.3 s"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_is_bounded_in_time_and_size_and_else_a_reason(kind: str) -> None:
    answer, expected = ANSWERS[kind]
    with ServerThread() as thread, peer(thread, answer) as url:
        assert thread.call(why(url, Outbound(LOOPBACK, seconds=0.3))) == expected
