"""`detent up` as a newcomer meets it: one line to parse or one screen to read, everything in it works, and it is
there again after a restart (mission A7–A13)."""

import base64
import contextlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from detent.cli.up import up
from detent.demo.cast import BROWSER_PORT, REPORTS, VAULT, WEB_PORT
from detent.demo.seeds import SECRETS_FILE
from detent.web.server import loopback, port_of
from tests.cli.conftest import DETENT, PLAIN, SECONDS, Cli, Process, process

pytestmark = pytest.mark.slow

TESTCLIENT = ("testclient", "secret")


def token(started: Process, auth: tuple[str, str] = TESTCLIENT, **form: str) -> httpx.Response:
    return httpx.post(f"{started.ready['issuer']}oauth/token", data=form, auth=auth)


def sign_in(started: Process, **form: str) -> dict[str, Any]:
    answer = token(started, TESTCLIENT, grant_type="password", username="test", password="test", **form)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def secret(started: Process, access_token: str, path: str = "secret") -> httpx.Response:
    return httpx.get(started.ready["demo_api"] + path, headers={"Authorization": f"Bearer {access_token}"})


def test_the_one_line_says_all_that_a_script_needs(running: Process) -> None:
    ready = running.ready
    urls = ["issuer", "certificate_authority", "dashboard", "demo_api", "demo_browser_app", "demo_web_app"]
    assert list(ready) == [*urls, "clients", "users"]
    assert ready["certificate_authority"] is None
    assert (ready["issuer"].startswith("http://127.0.0.1:"), ready["dashboard"]) == (True, None)
    assert ready["users"][0] == {"username": "test", "password": "test"}
    assert len(ready["users"]) == 2
    assert all(each["password"] for each in ready["users"])
    assert [(each["client_id"], each["kind"], bool(each["client_secret"])) for each in ready["clients"]] == [
        ("testclient", "web", True),
        ("demo-browser", "browser", False),
        ("demo-web", "web", True),
        ("demo-native", "native", False),
        ("demo-device", "cli", False),
        ("demo-machine", "machine", True),
    ]
    assert ready["clients"][0]["client_secret"] == "secret"
    assert ready["clients"][0]["grant_types"] == ["password", "refresh_token"]
    assert all(each["redirect_uris"] for each in ready["clients"] if "authorization_code" in each["grant_types"])


def test_a9_to_a13_the_walk_through_over_http(running: Process) -> None:
    tokens = sign_in(running)
    opened = secret(running, tokens["access_token"])
    assert (opened.status_code, opened.json()["message"]) == (200, "This is the secret area.")
    assert opened.json()["scope"] == "read write"
    refreshed = token(running, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
    assert refreshed["refresh_token"] != tokens["refresh_token"]
    assert secret(running, refreshed["access_token"]).status_code == 200
    assert secret(running, refreshed["refresh_token"]).status_code == 401


def test_the_apps_are_where_it_says_and_registered_there(running: Process) -> None:
    ready = running.ready
    config = httpx.get(ready["demo_browser_app"] + "config.json").json()
    assert (config["issuer"], config["demo_api"]) == (ready["issuer"], ready["demo_api"])
    clients = {each["client_id"]: each for each in ready["clients"]}
    browser, web = clients[config["client_id"]], clients["demo-web"]
    assert ready["demo_browser_app"] + "callback" in browser["redirect_uris"]
    assert ready["demo_browser_app"] + "signed-out" in browser["post_logout_redirect_uris"]
    assert ready["demo_web_app"] + "callback" in web["redirect_uris"]
    origin = ready["demo_browser_app"].rstrip("/")
    answer = httpx.get(ready["demo_api"] + "secret", headers={"origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    for name in ("logo_uri", "policy_uri", "tos_uri"):
        assert httpx.get(browser[name]).status_code == httpx.get(web[name]).status_code == 200


def test_a_person_signs_in_at_the_web_app_as_printed(running: Process) -> None:
    with httpx.Client(follow_redirects=True) as browser:
        signs_in_at_the_web_app(browser, running)


def signs_in_at_the_web_app(browser: httpx.Client, running: Process) -> None:
    page = browser.get(running.ready["demo_web_app"] + "sign-in")
    hidden = dict(re.findall(r'name="(csrf|interaction)" value="([^"]*)"', page.text))
    form = {**hidden, "username": "test", "password": "test", "login": "yes"}
    home = browser.post(page.url.copy_with(query=None), data=form, headers={"origin": running.ready["issuer"][:-1]})
    assert str(home.url) == running.ready["demo_web_app"]
    assert "Test Person" in home.text
    called = browser.post(f"{home.url}call-api", headers={"origin": str(home.url)[:-1]})
    assert "This is the secret area." in called.text


@pytest.mark.slow
def test_apps_whose_usual_ports_are_taken_go_elsewhere(tmp_path: Path) -> None:
    with contextlib.ExitStack() as taken:
        for port in (BROWSER_PORT, WEB_PORT):
            with contextlib.suppress(OSError):  # taken by somebody else will do
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        for _ in range(2):  # the second time the store is there
            port = free_pair()
            with process(tmp_path / "log", "up", "--port", str(port), "--data", str(tmp_path / "data")) as started:
                app = started.ready["demo_browser_app"]
                assert app not in ("http://127.0.0.1:3000/", started.ready["issuer"], started.ready["demo_api"])
                assert httpx.get(app).status_code == 200
                assert app + "callback" in started.ready["clients"][1]["redirect_uris"]


def free_pair() -> int:
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first, contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port_of(first) + 1)).close()
            return port_of(first)


WITHOUT_AUTHLIB = [
    sys.executable,
    "-c",
    "import sys; sys.modules['authlib'] = None; from detent.cli import main; main()",
]


@pytest.mark.slow
def test_without_the_extra_it_goes_on_without_the_web_app_and_says_what_adds_it(tmp_path: Path) -> None:
    arguments = ("up", "--port", "0", "--data", str(tmp_path / "data"))
    with process(tmp_path / "log", *arguments, detent=WITHOUT_AUTHLIB) as started:
        assert started.ready["demo_web_app"] is None
        assert httpx.get(started.ready["demo_browser_app"]).status_code == 200
        assert "demo-web" in [each["client_id"] for each in started.ready["clients"]]
    told = subprocess.Popen([*WITHOUT_AUTHLIB, *arguments], stdout=subprocess.PIPE, text=True, env=PLAIN)
    assert told.stdout
    screen = "".join(iter(told.stdout.readline, "Ctrl-C stops it and keeps the data.\n"))
    told.terminate()
    told.communicate(timeout=SECONDS)
    assert 'Demo web app      not installed; pip install "detent[demo]" adds it' in screen


def takes_connections(host: str | None, port: int | None) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def test_a8_the_demo_api_is_closed_without_a_token_and_says_what_it_is(running: Process) -> None:
    assert httpx.get(running.ready["demo_api"] + "secret").status_code == 401
    welcome = httpx.get(running.ready["demo_api"])
    assert (welcome.status_code, welcome.json()["issuer"]) == (200, running.ready["issuer"])
    lost = httpx.get(running.ready["demo_api"] + "nowhere")
    assert (lost.status_code, lost.json()) == (404, {"error": "not_found"})


def test_a18_a_refresh_reaches_another_api_within_what_was_granted(running: Process) -> None:
    demo_api = httpx.get(running.ready["demo_api"]).json()["guarded"]["/secret"]
    signed_in = token(
        running, grant_type="password", username="test", password="test", audience=demo_api, resource=REPORTS
    ).json()
    form = {"grant_type": "refresh_token", "refresh_token": signed_in["refresh_token"], "resource": REPORTS}
    assert token(running, TESTCLIENT, **form).json()["scope"] == "reports"


def test_a3_the_opaque_api_asks_the_server(running: Process) -> None:
    vault = sign_in(running, audience=VAULT)["access_token"]
    assert vault.startswith("dtat_")
    assert secret(running, vault, "opaque/secret").json()["scope"] == "vault"
    assert secret(running, vault).status_code == 401
    assert secret(running, sign_in(running)["access_token"], "opaque/secret").status_code == 401


def test_every_printed_client_is_what_it_is_printed_as(running: Process) -> None:
    machine = running.client("machine")
    credentials = (machine["client_id"], machine["client_secret"])
    assert token(running, credentials, grant_type="client_credentials").json()["scope"] == "read"
    web = running.ready["clients"][2]
    answer = token(running, (web["client_id"], web["client_secret"]), grant_type="authorization_code", code="x")
    assert answer.json()["error"] == "invalid_grant"
    ada = running.ready["users"][1]
    assert token(running, TESTCLIENT, grant_type="password", **ada).status_code == 200


@pytest.mark.slow
def test_a_restart_keeps_the_data_and_every_secret(tmp_path: Path) -> None:
    arguments = ("up", "--port", "0", "--data", str(tmp_path / "data"))
    with process(tmp_path / "log", *arguments) as started:
        before, tokens = started.ready, sign_in(started)
        assert started.end()[0] == 0
    with process(tmp_path / "log", *arguments) as started:
        secrets = [[each["client_secret"] for each in ready["clients"]] for ready in (before, started.ready)]
        assert secrets[0] == secrets[1]
        assert started.ready["users"] == before["users"]
        assert token(started, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).status_code == 200
    assert stat.S_IMODE((tmp_path / "data" / SECRETS_FILE).stat().st_mode) == 0o600


@pytest.mark.slow
def test_a_secret_that_was_changed_is_not_printed_as_it_was(tmp_path: Path) -> None:
    arguments = ("up", "--port", "0", "--data", str(tmp_path / "data"))
    with process(tmp_path / "log", *arguments):
        cli = Cli(tmp_path / "data")
        cli("client", "rotate-secret", "testclient")
        cli("user", "update", "test", "--generate")
    with process(tmp_path / "log", *arguments) as started:
        assert started.ready["clients"][0]["client_secret"] is None
        assert started.ready["users"][0] == {"username": "test", "password": None}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0_once_the_requests_under_way_are_answered(
    number: signal.Signals, tmp_path: Path
) -> None:
    with process(tmp_path / "log", "up", "--port", "0", "--data", str(tmp_path / "data")) as started:
        where = urlsplit(started.ready["issuer"])
        body = b"grant_type=password&username=test&password=test"
        with httpx.Client() as idle, socket.create_connection((where.hostname, where.port), SECONDS) as under_way:
            assert idle.get(started.ready["issuer"] + "health").status_code == 200
            head = (
                f"POST /oauth/token HTTP/1.1\r\nHost: {where.netloc}\r\nExpect: 100-continue\r\n"
                f"Authorization: Basic {base64.b64encode(b'testclient:secret').decode()}\r\n"
                f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            under_way.sendall(head.encode())
            assert under_way.recv(1000).startswith(b"HTTP/1.1 100 Continue")
            started.process.send_signal(number)
            while takes_connections(where.hostname, where.port):
                pass
            under_way.sendall(body)
            assert under_way.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert started.ended() == (0, "")
    assert [line for line in (tmp_path / "log").read_text().splitlines() if "audit link" not in line] == []


@pytest.mark.slow
def test_the_printed_lines_work_as_they_stand_and_ctrl_c_says_how_to_come_back(tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("the lines are for curl: `apt install curl`")
    data = str(tmp_path / "data")
    started = subprocess.Popen(
        [*DETENT, "up", "--port", "0", "--data", data], stdout=subprocess.PIPE, text=True, env=PLAIN
    )
    assert started.stdout
    screen = ""
    while "Ctrl-C" not in screen:
        screen += started.stdout.readline()
    assert re.match(r"Open http://127\.0\.0\.1:\d+/ and sign in as test / test\n", screen)
    lines = screen[screen.index("ISSUER=") : screen.index("Ctrl-C")]
    shell = subprocess.run(["sh"], input=lines, capture_output=True, text=True, timeout=SECONDS, check=False)
    answers = shell.stdout.splitlines()
    assert shell.stderr == ""
    assert ["access_token" in answer for answer in answers] == [True, False, True, False, False, False, True]
    assert answers[1] == answers[3]
    assert "This is the secret area." in answers[1]
    assert ('"active":true' in answers[4], answers[5]) == (True, '{"active":false}')
    started.send_signal(signal.SIGINT)
    rest, _ = started.communicate(timeout=SECONDS)
    assert started.returncode == 0
    assert f"The same command comes back to it: all is kept in {data}." in rest


@pytest.mark.slow
def test_l1_no_secret_is_in_the_log_at_debug(tmp_path: Path) -> None:
    environment = {"DETENT_LOG_LEVEL": "debug"}
    with process(tmp_path / "log", "up", "--port", "0", "--data", str(tmp_path / "data"), env=environment) as started:
        tokens = sign_in(started, scope="read openid")
        refreshed = token(started, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
        vault = sign_in(started, audience=VAULT)
        canaries = [value for each in (tokens, refreshed, vault) for name, value in each.items() if "token" in name]
        token(started, grant_type="password", username="canary-name", password="canary-password")
        token(started, ("testclient", "canary-secret"), grant_type="client_credentials")
        token(started, grant_type="authorization_code", code="dtac_canary-code")
        replayed = token(started, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
        assert replayed.json()["error"] == "invalid_grant"
        url = f"{started.ready['issuer']}userinfo?access_token=canary-query"
        httpx.get(url, headers={"Authorization": "Bearer canary-bearer"})
        secrets = [each["client_secret"] for each in started.ready["clients"] if len(each["client_secret"] or "") > 10]
        secrets += [started.ready["users"][1]["password"]]
        started.end()
    log = (tmp_path / "log").read_text()
    assert "reuse_detected" in log
    assert "wrong credentials" in log
    found = [value for value in (*canaries, *secrets, "canary") if value != "Bearer" and value in log]
    assert found == []


def test_only_this_machine_can_reach_it() -> None:
    opened = loopback(0)
    addresses = [each.getsockname()[0] for each in opened]
    for each in opened:
        each.close()
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in addresses


def test_it_has_no_host_to_choose_and_refuses_one_that_is_chosen_elsewhere(cli: Cli) -> None:
    assert not any("--host" in parameter.opts for parameter in up.params)
    (cli.data / "detent.toml").write_text('\nhost = "192.0.2.1"\n')
    code, told = cli.refused("up")
    assert code == "invalid_settings"
    assert told.startswith(f"host ({cli.data / 'detent.toml'} line 2): development mode is for this machine alone")
    result = cli.run("up", env={"DETENT_HOST": "0.0.0.0"})  # noqa: S104 (is refused)
    assert result.exit_code == 1
    assert "host (DETENT_HOST)" in result.stderr


def taken_port_after_a_free_one() -> socket.socket:
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first, contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port_of(first) + 1))


def test_a_port_that_is_taken_is_said_in_a_sentence(cli: Cli) -> None:
    with taken_port_after_a_free_one() as taken:
        port = port_of(taken)
        for asked in (port, port - 1):  # the issuer's, and the demo API's
            code, told = cli.refused("up", "--port", str(asked))
            assert code == "address_unavailable"
            assert told.startswith(f"Port {port} cannot be used (Address already in use). Choose others: --port")


def test_a9_it_puts_no_seeds_into_a_store_that_it_did_not_make(cli: Cli) -> None:
    cli("api", "add", "https://api.example/")
    code, told = cli.refused("up", "--port", "0")
    assert code == "invalid_settings"
    assert told.startswith(f"data (--data): {cli.data} holds a store that `detent up` did not make")
    assert cli.json("client", "list") == []


def test_damaged_development_secrets_are_refused_by_name(cli: Cli) -> None:
    (cli.data / SECRETS_FILE).write_text("{")
    code, told = cli.refused("up", "--port", "0")
    assert code == "store_unavailable"
    assert str(cli.data / SECRETS_FILE) in told
