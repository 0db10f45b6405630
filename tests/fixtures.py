"""Fixtures of the tests that speak HTTP; each folder's conftest.py takes what it needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Detent, running


@pytest.fixture(scope="session")
def keys_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One set of keys for the whole run: making RSA keys is the slowest part of a first start."""
    return tmp_path_factory.mktemp("shared") / "keys"


@pytest.fixture
def detent(tmp_path: Path, keys_folder: Path) -> Iterator[Detent]:
    with running(tmp_path, keys_folder) as served:
        yield served


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """One house for a whole module: for tests that leave it, and its clock, as they found it."""
    with running(tmp_path_factory.mktemp("standing"), keys_folder) as served:
        yield served
