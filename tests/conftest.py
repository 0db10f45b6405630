"""The skip policy, for every test.

A skip is a promise to run later: its reason holds the command that enables the test, between backticks,
and with CI set nothing may be skipped at all. Fixtures belong to the tests that use them.
"""

import os
from importlib.util import find_spec

import pytest

pytest.register_assert_rewrite("detent.testing.store_contract")  # before any folder's conftest imports it
collect_ignore = [] if find_spec("playwright") else ["browser"]  # `./check browser` installs it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("system"):
            item.add_marker(pytest.mark.skip(reason="needs root: `sudo ./check system`"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and _objection(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    if objection := _objection(config):
        terminalreporter.write_line(f"FAILED {objection}", red=True)


def _objection(config: pytest.Config) -> str | None:
    """Why this run's skips may not count as success, or None. A worker process has no reporter and no say."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("CI"):
        return "CI is set, and there a skipped test is a failure"
    if silent := [report.nodeid for report in skipped if report.longrepr[2].count("`") < 2]:
        return "a skip reason holds the command that enables the test, between backticks: " + " ".join(silent)
    return None
