import shutil
from pathlib import Path

import pytest

from detent.keys.file import FileKeys
from detent.testing.clock import ManualClock
from tests.fixtures import detent, keys_folder, standing
from tests.serving import START
from tests.strategies import alone, app

__all__ = ["alone", "app", "data", "detent", "keys_folder", "standing"]


@pytest.fixture
def data(tmp_path: Path, keys_folder: Path) -> Path:
    """A data directory for the command line, with keys that are made already."""
    FileKeys.open(keys_folder, ManualClock(START))
    shutil.copytree(keys_folder, tmp_path / "data" / "keys")
    (tmp_path / "data").chmod(0o700)
    return tmp_path / "data"
