"""`detent serve`: what it refuses to start with (attacks M8, L4, mission A9), and that it serves what is left."""

import re
import signal
from pathlib import Path

import httpx
import pytest

from detent.demo.seeds import SECRETS_FILE, development_secrets, seed
from detent.settings.declared import FILE_NAME
from detent.system import SystemEntropy
from tests.cli.conftest import Cli, process

pytestmark = pytest.mark.quick

ISSUER = "https://id.example/"
SAFE = ("serve", "--issuer", ISSUER, "--port", "0")


def test_m8_unsafe_settings_are_refused_with_the_line_that_made_them(cli: Cli) -> None:
    file = cli.data / FILE_NAME
    file.write_text('issuer = "http://id.example"\nprofile = "oauth21"\npassword_grant = true\n')
    code, told = cli.refused("serve")
    assert code == "invalid_settings"
    first, second = told.splitlines()
    assert first.startswith(f"issuer ({file} line 1): 'http://id.example' must be https")
    assert second.startswith(f"password_grant ({file} line 3): OAuth 2.1 has no password grant")


def test_m8_without_an_issuer_nothing_starts(cli: Cli) -> None:
    assert cli.refused("serve")[1].startswith("issuer (default): missing.")


def test_m8_a_variable_is_named_too(cli: Cli) -> None:
    result = cli.run("serve", env={"DETENT_ISSUER": "https://id.example"})
    assert result.exit_code == 1
    assert "issuer (DETENT_ISSUER): 'https://id.example' must end with a slash" in result.stderr


def test_l4_a_data_directory_open_to_others_is_refused(cli: Cli) -> None:
    cli.data.chmod(0o755)
    assert f"chmod 700 {cli.data}" in cli.refused(*SAFE)[1]


def test_l4_a_key_that_others_can_read_is_refused(cli: Cli) -> None:
    key = next((cli.data / "keys").glob("handle.*"))
    key.chmod(0o640)
    assert cli.refused(*SAFE) == (
        "keys_unusable",
        f"{key} holds private keys and is open to other users (mode 0640). Run: chmod 600 {key}",
    )


def seeded(cli: Cli) -> Cli:
    cli("api", "add", "https://api.example/")
    secrets = development_secrets(cli.data, SystemEntropy())
    cli.ask(lambda office: seed(secrets, office.directory, office.registrations, office.people))
    return cli


def test_a9_a_directory_that_was_seeded_is_refused_with_what_to_do(cli: Cli) -> None:
    code, told = seeded(cli).refused(*SAFE)
    assert code == "invalid_settings"
    assert told.startswith(f"data (--data): {cli.data} was seeded by `detent up`")
    assert "Give production a directory of its own with --data." in told


@pytest.mark.parametrize(
    ("left", "removed"),
    [
        ("its client testclient has the secret `secret`", ("user", "remove", "test")),
        ("its user test has the password `test`", ("client", "remove", "testclient")),
    ],
)
def test_a9_any_published_secret_is_enough_to_be_refused(left: str, removed: tuple[str, ...], cli: Cli) -> None:
    seeded(cli)(*removed)
    (cli.data / SECRETS_FILE).unlink()
    told = cli.refused(*SAFE)[1]
    assert f"was seeded by `detent up` ({left})" in told


@pytest.mark.slow
def test_it_serves_without_seeds_and_without_the_password_grant(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process(tmp_path / "log", *SAFE, "--data", str(data)) as started:
        assert started.ready["issuer"] == ISSUER
        here = f"http://127.0.0.1:{started.ready['port']}"
        metadata = httpx.get(f"{here}/.well-known/openid-configuration", headers={"Host": "id.example"})
        assert metadata.json()["token_endpoint"] == f"{ISSUER}oauth/token"
        assert "password" not in metadata.json()["grant_types_supported"]
        assert httpx.get(f"{here}/.well-known/jwks.json").status_code == 421
        cli = Cli(data)
        assert (cli.json("client", "list"), cli.json("user", "list"), cli.json("api", "list")) == ([], [], [])
        cli("api", "add", "https://api.example/", "--scope", "read")
        added = cli.json("client", "add", "--kind", "machine", "--scope", "read", "--audience", "https://api.example/")
        credentials = (added["client_id"], added["client_secret"])
        form = {"grant_type": "client_credentials"}
        answer = httpx.post(f"{here}/oauth/token", data=form, auth=credentials, headers={"Host": "id.example"})
        assert answer.json()["scope"] == "read"
        refused = httpx.post(
            f"{here}/oauth/token", data={"grant_type": "password"}, auth=credentials, headers={"Host": "id.example"}
        )
        assert refused.json()["error"] == "unsupported_grant_type"
        limits = Path(f"/proc/{started.process.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0", limits), "attack L8: a crash leaves no core file"
        assert "proxies is 0" in (tmp_path / "log").read_text()
        assert started.end(signal.SIGTERM) == (0, "")


@pytest.mark.slow
def test_a7_the_password_grant_can_be_switched_on_for_a_migration(tmp_path: Path) -> None:
    arguments = (*SAFE, "--data", str(tmp_path / "data"), "--password-grant", "true")
    with process(tmp_path / "log", *arguments) as started:
        here = f"http://127.0.0.1:{started.ready['port']}/.well-known/openid-configuration"
        assert "password" in httpx.get(here, headers={"Host": "id.example"}).json()["grant_types_supported"]


def test_every_figure_that_operators_are_told_to_watch_is_on_the_page_of_a_server(cli: Cli, tmp_path: Path) -> None:
    """But for those that come with the first of their kind."""
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    table = page.partition("| metric, `detent_…` |")[2].partition("\n\n")[0]
    watched = set(re.findall(r"`([a-z_]+)(?:\{[a-z,]+\})?`", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
    assert "answers_held_back_total" in watched
    with process(tmp_path / "log", *SAFE, "--operator-address", "127.0.0.1:0", "--data", str(cli.data)) as started:
        url = f"http://127.0.0.1:{started.ready['port']}/oauth/token"
        form = {"grant_type": "refresh_token", "refresh_token": "dtrt_x", "client_id": "spa"}
        assert httpx.post(url, data=form, headers={"Host": "id.example"}).status_code == 400
        told = httpx.get(f"http://127.0.0.1:{started.ready['operator_port']}/metrics", timeout=30).text
    names = set(re.findall(r"^detent_([a-z_]+?)(?:_bucket|_count|_sum)?[ {]", told, re.MULTILINE))
    first = {"audit_events_total", "connections_given_up_total", "sign_ins_total", "tokens_issued_total"}
    assert watched - names == first
