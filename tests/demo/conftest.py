import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from detent.testing.clock import ManualClock
from tests.fixtures import keys_folder
from tests.serving import Detent, running

__all__ = ["keys_folder"]


@pytest.fixture
def detent(tmp_path: Path, keys_folder: Path) -> Iterator[Detent]:
    """On a clock that starts now, for Authlib compares the times in tokens with its own."""
    with running(tmp_path, keys_folder, clock=ManualClock(int(time.time()))) as served:
        yield served
