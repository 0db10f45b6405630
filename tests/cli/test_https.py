"""`detent up --https`, and the certificate of `detent serve`: over real TLS, as clients see them."""

import asyncio
import re
import shutil
import signal
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography import x509

from detent.cli import certificates
from detent.cli.authority import AUTHORITY_LIFE, LIFE, NEAR, LocalCertificate, local_certificate, trusting_line
from detent.cli.certificates import kept_current
from detent.cli.walkthrough import shell_lines
from detent.keys.ring import KeysError
from detent.web.certificate import ServerCertificate
from tests.cli.conftest import Cli, Process, process
from tests.cli.test_up import signs_in_at_the_web_app
from tests.web.test_tls import Authority

ISSUER = "https://id.example/"
METADATA = ".well-known/openid-configuration"


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


# The authority


def test_the_authority_is_for_this_machine_alone_and_private(tmp_path: Path) -> None:
    made = local_certificate(tmp_path / "data")
    assert made.made
    authority = read(made.authority).extensions
    constraints = authority.get_extension_for_class(x509.NameConstraints)
    permitted = {str(each.value) for each in constraints.value.permitted_subtrees or ()}
    assert constraints.critical
    assert permitted == {"localhost", *(str(ip_network(each)) for each in ("127.0.0.1", "::1"))}
    assert authority.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    for path in (tmp_path / "data", *(tmp_path / "data").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    with pytest.raises(KeysError, match="chmod 600"):
        open_to_others(made)


def open_to_others(made: LocalCertificate) -> None:
    key = made.authority.with_name("authority.key")
    key.chmod(0o644)
    local_certificate(made.authority.parents[1])


def test_it_is_made_once_and_the_certificate_anew_near_its_end(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    first = local_certificate(tmp_path, now)
    authority, leaf = read(first.authority), read(first.certificate)
    later = local_certificate(tmp_path, now + LIFE - NEAR - timedelta(minutes=1))
    assert not later.made
    assert (read(later.authority), read(later.certificate)) == (authority, leaf)
    near = local_certificate(tmp_path, now + LIFE - NEAR + timedelta(minutes=1))
    assert not near.made
    assert read(near.authority) == authority
    assert read(near.certificate) != leaf
    last = local_certificate(tmp_path, now + AUTHORITY_LIFE - LIFE + timedelta(minutes=1))
    assert last.made
    assert read(last.authority) != authority


def test_what_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    first = local_certificate(tmp_path)
    first.key.write_bytes(first.key.read_bytes()[:50])
    assert not local_certificate(tmp_path).made
    ServerCertificate(first.certificate, first.key)
    first.authority.write_bytes(b"")
    assert local_certificate(tmp_path).made


def test_a_foreign_host_is_not_believed_whoever_signed_for_it_with_that_key(tmp_path: Path) -> None:
    """The constraint is what protects whoever trusts the authority, should its key be stolen."""
    made = local_certificate(tmp_path)
    key = made.authority.with_name("authority.key").read_bytes()
    stolen = trustme.CA.from_pem(made.authority.read_bytes(), key)
    for host, believed in (("bank.example", False), ("192.0.2.1", False), ("localhost", True), ("127.0.0.1", True)):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        stolen.issue_cert(host).configure_cert(server)
        assert shake_hands(trusting(made.authority), server, host) is believed, host


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> bool:
    """In memory."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=host), server.wrap_bio(up, down, server_side=True)]
    try:
        for _ in range(5):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLError:
        return False
    return True


def test_the_line_that_makes_it_trusted_is_the_systems_own() -> None:
    path = Path("/a folder/authority.pem")
    assert "update-ca-certificates" in trusting_line(path, "Linux")
    assert "security add-trusted-cert" in trusting_line(path, "Darwin")
    assert all("'/a folder/authority.pem'" in trusting_line(path, each) for each in ("Linux", "Darwin"))


# Development mode


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("https")
    with process(folder / "log", "up", "--https", "--port", "0", "--data", str(folder / "data")) as started:
        yield started


@pytest.fixture(scope="module")
def browser(secure: Process) -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, verify=trusting(Path(secure.ready["certificate_authority"]))) as client:
        yield client


@pytest.mark.slow
def test_everything_is_https_on_localhost_and_says_so(secure: Process, browser: httpx.Client) -> None:
    ready = secure.ready
    for name in ("issuer", "demo_api", "demo_browser_app", "demo_web_app"):
        assert re.fullmatch(r"https://localhost:\d+/", ready[name]), name
        assert browser.get(ready[name] + (METADATA if name == "issuer" else "")).status_code == 200
    told = browser.get(ready["issuer"] + METADATA).json()
    assert told["issuer"] == ready["issuer"]
    assert all(url.startswith(ready["issuer"]) for name, url in told.items() if name.endswith("_endpoint"))
    assert browser.get(ready["issuer"].replace("localhost", "127.0.0.1") + METADATA).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(ready["issuer"] + METADATA)
    with pytest.raises(httpx.HTTPError):
        httpx.get(ready["issuer"].replace("https", "http") + METADATA)


@pytest.mark.slow
def test_a_person_signs_in_at_the_demo_app_and_every_cookie_is_a_host_cookie(
    secure: Process, browser: httpx.Client
) -> None:
    signs_in_at_the_web_app(browser, secure)
    cookies = list(browser.cookies.jar)
    assert {cookie.name for cookie in cookies} >= {"__Host-detent_session"}
    assert any(cookie.name.startswith("__Host-demo_web") for cookie in cookies)
    for cookie in cookies:
        assert (cookie.name.startswith("__Host-"), cookie.secure, cookie.path) == (True, True, "/"), cookie.name


@pytest.mark.slow
def test_a_browser_app_finds_its_server_by_https_only(secure: Process, browser: httpx.Client) -> None:
    app = secure.ready["demo_browser_app"]
    answer = browser.get(app + "config.json")
    assert (answer.json()["issuer"], answer.json()["demo_api"]) == (secure.ready["issuer"], secure.ready["demo_api"])
    assert "http:" not in answer.headers["content-security-policy"]
    elsewhere = browser.get(app.replace("localhost", "127.0.0.1"), follow_redirects=False)
    assert elsewhere.headers["location"] == app


@pytest.mark.slow
def test_the_printed_lines_work_by_https_too(secure: Process) -> None:
    if not shutil.which("curl"):
        pytest.skip("the walk-through is for curl: `apt install curl`")
    machine = secure.client("machine")
    credentials = f"{machine['client_id']}:{machine['client_secret']}"
    authority = Path(secure.ready["certificate_authority"])
    lines = shell_lines(secure.ready["issuer"], secure.ready["demo_api"], credentials, authority)
    ran = subprocess.run(["sh", "-c", lines], capture_output=True, text=True, timeout=60)
    assert ran.stdout.count("This is the secret area.") == 2, ran.stderr


# Production


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue("id.example")
    return made


def flags(authority: Authority) -> tuple[str, ...]:
    return "--tls-certificate", str(authority.certificate), "--tls-key", str(authority.key)


def asked(client: httpx.Client, here: str) -> httpx.Response:
    """As of id.example, wherever it is."""
    return client.get(here, headers={"Host": "id.example"}, extensions={"sni_hostname": "id.example"})


@pytest.mark.slow
def test_serve_ends_tls_itself_and_takes_up_a_new_certificate_at_sighup(tmp_path: Path, authority: Authority) -> None:
    arguments = ("serve", "--issuer", ISSUER, "--port", "0", "--data", str(tmp_path / "data"), *flags(authority))
    with process(tmp_path / "log", *arguments) as started:
        here = f"https://127.0.0.1:{started.ready['port']}/{METADATA}"
        with httpx.Client(verify=authority.trust) as before:
            assert asked(before, here).json()["issuer"] == ISSUER
            assert "proxies is 0" not in (tmp_path / "log").read_text()
            authority.ca = trustme.CA()
            authority.issue("id.example", key_type=trustme.KeyType.RSA)
            started.process.send_signal(signal.SIGHUP)
            fresh = ssl.create_default_context()
            authority.ca.configure_trust(fresh)
            until = time.monotonic() + 60
            while "a new certificate" not in (tmp_path / "log").read_text():
                assert time.monotonic() < until
                time.sleep(0.05)
            with httpx.Client(verify=fresh) as after:
                assert asked(after, here).status_code == 200
            assert asked(before, here).status_code == 200, "the connection that stood goes on"
        authority.key.write_text("not a key")
        started.process.send_signal(signal.SIGHUP)
        while "is not taken up" not in (tmp_path / "log").read_text():
            assert time.monotonic() < until
            time.sleep(0.05)
        with httpx.Client(verify=fresh) as after:
            assert asked(after, here).status_code == 200
        assert started.end()[0] == 0


async def test_files_that_change_are_taken_up_without_a_signal(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "LOOK_EVERY", 0.01)
    certificate = ServerCertificate(authority.certificate, authority.key)
    authority.issue("other.example")
    async with kept_current(certificate):
        for _ in range(3000):
            if certificate.shown.covers("other.example"):
                break
            await asyncio.sleep(0.01)
    assert certificate.shown.covers("other.example")
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def refused(cli: Cli, *arguments: str) -> str:
    code, told = cli.refused("serve", "--issuer", ISSUER, *arguments)
    assert code == "invalid_settings"
    return told


def test_a_certificate_that_cannot_be_meant_stops_the_start_and_names_its_setting(
    cli: Cli, authority: Authority
) -> None:
    assert refused(cli, *flags(authority)[:2]).startswith("tls_key (default): missing")
    assert refused(cli, *flags(authority)[2:]).startswith("tls_certificate (default): missing")
    authority.issue("id.example", until=datetime.now(UTC) - timedelta(minutes=1))
    assert "tls_certificate (--tls-certificate)" in refused(cli, *flags(authority))
    authority.issue("elsewhere.example")
    assert "is not for id.example, the host of the issuer: elsewhere.example" in refused(cli, *flags(authority))
    authority.key.chmod(0o644)
    assert "tls_key (--tls-key)" in refused(cli, *flags(authority))
    told = cli.refused("serve", "--issuer", "http://127.0.0.1:9400/", *flags(authority))[1]
    assert "the issuer is http" in told
    assert "holds no certificate" in refused(cli, "--extra-ca", str(authority.key))
    assert "cannot be read" in refused(cli, "--extra-ca", str(authority.folder / "nothing.pem"))


def test_behind_a_proxy_its_name_for_us_is_its_own_affair(cli: Cli, authority: Authority) -> None:
    authority.issue("node-1.internal")
    for name, path in (("tls_certificate", authority.certificate), ("tls_key", authority.key)):
        with (cli.data / "detent.toml").open("a") as file:
            file.write(f'{name} = "{path}"\n')
    with (cli.data / "detent.toml").open("a") as file:
        file.write(f'issuer = "{ISSUER}"\n')
    assert cli.refused("config", "check")[0] == "invalid_settings"
    with (cli.data / "detent.toml").open("a") as file:
        file.write("proxies = 1\n")
    assert "can start" in cli("config", "check")


def test_doctor_warns_before_the_end_of_the_certificate(cli: Cli, authority: Authority) -> None:
    cli("user", "add", "ada", "--generate")
    (cli.data / "detent.toml").write_text(
        f'issuer = "{ISSUER}"\ntls_certificate = "{authority.certificate}"\ntls_key = "{authority.key}"\n'
    )
    assert "fine   the certificate is good for a while yet" in cli.run("doctor").stdout
    authority.issue("id.example", until=datetime.now(UTC) + timedelta(days=3))
    told = cli.run("doctor").stdout
    assert "wrong  the certificate" in told
    assert "the server takes it up by itself" in told
    authority.issue("id.example", until=datetime.now(UTC) - timedelta(days=3))
    assert "expired at" in cli.run("doctor").stdout


def test_development_mode_makes_its_own_certificate_and_says_so(cli: Cli, authority: Authority) -> None:
    (cli.data / "detent.toml").write_text(f'tls_certificate = "{authority.certificate}"\n')
    assert "`detent up --https`" in cli.refused("up", "--port", "0")[1]
