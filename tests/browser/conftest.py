"""Fixtures of the tests that drive Chromium: a page comes from `browse`, a browser app's origin from `site`, and
`detent` is a house on http://127.0.0.1, `secure` one on https://localhost.

`browse` is the last argument of a test: so its pages close before what serves them does.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from detent.testing.clock import ManualClock
from detent.testing.server import Loopback, ServerThread
from tests.browser.certificate import Certificate, trusted_certificate
from tests.browser.people import Browse, Chromium, running_chromium
from tests.browser.site import MakeSite, Site
from tests.fixtures import keys_folder
from tests.serving import Detent, running

__all__ = ["keys_folder"]

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificate]:
    with trusted_certificate(tmp_path_factory.mktemp("tls")) as made:
        yield made


@pytest.fixture(scope="session")
def chromium(certificate: Certificate) -> Iterator[Chromium]:
    with running_chromium(certificate) as started:
        yield started


@pytest.fixture
def browse(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browse]:
    with ExitStack() as profiles:
        people = Browse(chromium, tmp_path_factory.mktemp("profiles"), profiles)
        yield people
        people.assert_no_troubles()


@pytest.fixture
def site(certificate: Certificate) -> Iterator[MakeSite]:
    with ServerThread() as thread:

        def make(host: str = "127.0.0.1", *, tls: bool = False) -> Site:
            return Site(thread, host, certificate.path if tls else None)

        yield make


@pytest.fixture
def detent(tmp_path: Path, keys_folder: Path) -> Iterator[Detent]:
    """On a clock that starts now, for browser apps compare the times in tokens with the browser's."""
    with running(tmp_path, keys_folder, clock=_now()) as served:
        yield served


@pytest.fixture
def secure(tmp_path: Path, keys_folder: Path, certificate: Certificate) -> Iterator[Detent]:
    """The same on https://localhost."""
    with running(tmp_path, keys_folder, clock=_now(), at=Loopback("localhost", certificate.path)) as served:
        yield served


def _now() -> ManualClock:
    return ManualClock(int(time.time()))
