"""Fixtures of the tests that run real clients: `example` is what `detent up` seeds, on a clock that the test moves.

Everything in this folder is marked `clients` and runs in `./check clients`.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from detent.cli.authority import local_certificate
from detent.testing.server import Loopback
from tests.clients.example import Example, running_example
from tests.fixtures import keys_folder

__all__ = ["keys_folder"]
if find_spec("playwright"):
    from tests.browser.conftest import browse, certificate, chromium, site

    __all__ += ["browse", "certificate", "chromium", "site"]
else:  # `./check clients` installs it
    collect_ignore = ["test_auth0_spa_js.py", "test_oidc_client_ts.py"]

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("clients")


@pytest.fixture
def example(tmp_path: Path, keys_folder: Path) -> Iterator[Example]:
    with running_example(tmp_path / "data", keys_folder) as running:
        yield running


@pytest.fixture
def secure_example(tmp_path: Path, keys_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Example]:
    """The same over https, by the authority of `detent up --https`; SSL_CERT_FILE names it meanwhile."""
    made = local_certificate(tmp_path)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(made.key.read_bytes() + made.certificate.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    with running_example(tmp_path / "data", keys_folder, Loopback("localhost", chain)) as running:
        yield running
