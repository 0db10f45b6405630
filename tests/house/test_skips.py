"""Which skipped tests fail a run: the policy of tests/conftest.py, by running pytest under it."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

pytest_plugins = ["pytester"]

POLICY = (Path(__file__).parents[1] / "conftest.py").read_text()


def _exit_of_a_run_that_skips(pytester: pytest.Pytester, reason: str) -> int:
    pytester.makeconftest(POLICY)
    pytester.makepyfile(f"import pytest\ndef test_one(): pytest.skip({reason!r})\ndef test_two(): pass")
    return int(pytester.runpytest("-p", "no:asyncio").ret)


def test_a_skip_that_says_how_to_enable_it_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert _exit_of_a_run_that_skips(pytester, "needs a database: `./check postgres`") == 0


def test_a_skip_without_a_command_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert _exit_of_a_run_that_skips(pytester, "not today") == 1


def test_every_skip_fails_in_ci(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert _exit_of_a_run_that_skips(pytester, "needs a database: `./check postgres`") == 1
