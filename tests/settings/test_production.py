"""What production refuses, with the place that said it (attack M8, mission B19), and what development mode does."""

import os
from pathlib import Path

import pytest

from detent.settings.declared import Problem, Settings
from detent.settings.fitness import development_problems, production_problems
from detent.settings.reading import load

pytestmark = pytest.mark.quick

ISSUER = "https://id.example/"
EVERYWHERE = "0.0.0.0"  # noqa: S104 (is what is refused)


def problems(folder: Path, **flags: str) -> list[Problem]:
    folder.chmod(0o700)
    return production_problems(load({"data": str(folder), **flags}, {}))


@pytest.mark.parametrize(
    "issuer", [ISSUER, "http://127.0.0.1:9400/", "http://localhost/", "https://a.example:8443/in/"]
)
def test_a_safe_server_starts(issuer: str, tmp_path: Path) -> None:
    assert problems(tmp_path, issuer=issuer) == []


@pytest.mark.parametrize(
    ("issuer", "because"),
    [
        ("", "missing"),
        ("http://id.example/", "must be https"),
        ("http://127.0.0.1.example/", "must be https"),
        ("https://id.example", "must end with a slash"),
        ("https://id.example/?", "query"),
        ("https://id.example/?a=b/", "query"),
        ("https://id.example/#/", "fragment"),
        ("https://user@id.example/", "user"),
        ("https://id.example:443/", "default port"),
        ("http://localhost:80/", "default port"),
        ("https://id.example:port/", "not a URL"),
        ("https:///", "not an https URL"),
        ("ftp://id.example/", "not an https URL"),
        ("https://id .example/", "not an https URL"),
        ("id.example/", "not an https URL"),
    ],
)
def test_b19_m8_an_unsafe_issuer_is_refused_by_name(issuer: str, because: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, issuer=issuer)
    assert (problem.name, problem.source) == ("issuer", "--issuer")
    assert because in problem.sentence


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.1", "id.example"])
def test_m8_an_http_issuer_is_never_served_to_the_outside(host: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, issuer="http://127.0.0.1:9400/", host=host)
    assert (problem.name, problem.source) == ("host", "--host")
    assert problems(tmp_path, issuer=ISSUER, host=host) == []


def test_m8_oauth21_and_the_password_grant_exclude_each_other(tmp_path: Path) -> None:
    chosen = {"issuer": ISSUER, "password_grant": "true"}
    (problem,) = problems(tmp_path, **chosen, profile="oauth21")
    assert problem.name == "password_grant"
    assert "--profile" in problem.sentence
    assert problems(tmp_path, **chosen) == []


@pytest.mark.parametrize("absolute", ["3600", "86399"])
def test_a_session_that_may_idle_longer_than_it_lasts_is_refused_in_every_mode(absolute: str, tmp_path: Path) -> None:
    chosen = {"data": str(tmp_path), "session_idle": "86400", "session_absolute": absolute}
    tmp_path.chmod(0o700)
    for found in (development_problems(load(chosen, {})), production_problems(load(chosen | {"issuer": ISSUER}, {}))):
        (problem,) = found
        assert (problem.name, problem.source) == ("session_idle", "--session-idle")
        assert f"session_absolute (--session-absolute) is {absolute} s" in problem.sentence
    assert problems(tmp_path, issuer=ISSUER, session_idle="86400", session_absolute="86400") == []


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_l4_m8_a_data_directory_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    settings = load({"data": str(tmp_path), "issuer": ISSUER}, {})
    tmp_path.chmod(mode)
    (problem,) = production_problems(settings)
    assert str(problem) == (
        f"data (--data): {tmp_path} is open to other accounts (mode {mode:03o}). Run: chmod 700 {tmp_path}"
    )


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    os.close(os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY, 0o600))
    (problem,) = production_problems(Settings(issuer=ISSUER, data=tmp_path / "file"))
    assert "not a directory" in problem.sentence


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, host=EVERYWHERE, issuer="http://x", password_grant="1", profile="oauth21")
    assert [problem.name for problem in found] == ["issuer", "host", "password_grant"]


@pytest.mark.parametrize(("name", "value"), [("host", EVERYWHERE), ("issuer", ISSUER), ("profile", "oauth21")])
def test_development_mode_refuses_to_be_more_than_a_trial(name: str, value: str, tmp_path: Path) -> None:
    (problem,) = development_problems(load({"data": str(tmp_path)}, {f"DETENT_{name.upper()}": value}))
    assert (problem.name, problem.source) == (name, f"DETENT_{name.upper()}")
    assert "detent serve" in problem.sentence


def test_development_mode_takes_any_loopback_host(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        assert development_problems(load({"data": str(tmp_path)}, {"DETENT_HOST": host})) == []
