"""examples.start as its reader uses it: against a real `detent up`, each example in one command."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Process, process
from tests.examples import free_port, ran, serving, started

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("up")
    with process(folder / "log", "up", "--port", "0", "--data", str(folder / "data")) as running:
        yield running


def test_the_walk_through_runs_in_two_commands(up: Process) -> None:
    with serving("start", *started("secret", up, "--port", free_port())) as http:
        told = ran("start", *started("walk_through", up, "--api", str(http.base_url)))
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.count("200 This is the secret area.") == 2


def test_the_small_app_runs_in_one_command_and_again(up: Process) -> None:
    for _ in range(2):
        with serving("start", *started("small_app", up, "--port", free_port())) as http:
            pair = http.post("/login", json={"username": "user2", "password": "password2"}).json()
            bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
            assert http.get("/protected", headers=bearer).json()["message"] == "This is the protected message "
            assert http.post("/refresh", json={"refreshToken": pair["refreshToken"]}).status_code == 200
            assert http.post("/refresh", json={"refreshToken": pair["refreshToken"]}).status_code == 401


@pytest.mark.parametrize("strategy", ["unique_claim", "allowlist"])
def test_the_token_app_runs_in_one_command_on_the_strategy_of_ones_choice(up: Process, strategy: str) -> None:
    with serving("start", *started("token_app", up, "--port", free_port(), "--strategy", strategy)) as http:
        asked = httpx.URL(http.get("/api/auth/login").headers["location"])
        page = httpx.get(asked, follow_redirects=True)
        assert page.status_code == 200, "the registered redirect URI is this app's"
        assert f"Token app, {strategy}" in page.text


def test_a_strategy_that_there_is_not_is_refused_in_a_sentence(up: Process) -> None:
    told = ran("start", *started("token_app", up, "--strategy", "hope"))
    assert told.returncode == 1
    assert "refresh_strategy must be one of: family, allowlist" in told.stderr


def test_a_port_that_is_taken_is_said_with_what_to_do(up: Process) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = ran("start", *started("secret", up, "--port", port))
    assert told.returncode == 1
    assert told.stderr.startswith(f"Port {port} cannot be used")
    assert "Choose another with --port" in told.stderr


def test_without_a_server_nothing_is_registered_anywhere(tmp_path: Path) -> None:
    told = ran("start", "small_app", "--issuer", f"http://127.0.0.1:{free_port()}/", "--data", str(tmp_path / "data"))
    assert told.returncode == 1
    assert told.stderr.rstrip().endswith("Start it first: ./up")
    assert not (tmp_path / "data").exists()
