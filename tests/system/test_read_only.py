"""Fault row F6 on a real file system: the kernel makes it read-only under a running server, as after a disk's error."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.faults.nodes import Installation

pytestmark = pytest.mark.system
SERVE = ("serve", "--port", "0", "--proxies", "1", "--json")


class Disk:
    """An ext4 in a file, mounted at the data directory."""

    def __init__(self, folder: Path, place: Path) -> None:
        self._image, self._place = folder / "image", place
        with self._image.open("wb") as image:
            image.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True)

    def mount(self) -> None:
        options = "loop,errors=remount-ro"
        subprocess.run(["mount", "-o", options, str(self._image), str(self._place)], check=True)
        self._place.chmod(0o700)

    def fail(self) -> None:
        """Tell the kernel that it found an error."""
        told = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(self._place)], capture_output=True, text=True, check=True
        )
        Path("/sys/fs/ext4", Path(told.stdout.strip()).name, "trigger_fs_error").write_text("by a test")

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self._place)], check=False)

    def mend(self) -> None:
        self.unmount()
        subprocess.run(["e2fsck", "-fy", str(self._image)], check=False, capture_output=True)
        self.mount()


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path)
    installation.data.mkdir()
    return installation


@pytest.fixture
def disk(tmp_path: Path, installation: Installation) -> Iterator[Disk]:
    disk = Disk(tmp_path, installation.data)
    disk.mount()
    yield disk
    disk.unmount()


def test_fault_f6_a_file_system_that_turns_read_only_costs_503s_a_refused_start_and_nothing_else(
    installation: Installation, disk: Disk
) -> None:
    with installation.node() as node:
        installation.furnish()
        credentials = installation.clients["strict"]
        signed_in = node.ask("/oauth/token", credentials, grant_type="password", **installation.person).json()
        form = {"grant_type": "refresh_token", "refresh_token": signed_in["refresh_token"]}
        disk.fail()
        for _ in range(2):
            answer = node.ask("/oauth/token", credentials, **form)
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        for path in ("/.well-known/jwks.json", "/.well-known/openid-configuration"):
            assert node.http.get(path).status_code == 200
        node.kill()
    refused = Cli(installation.data).run(*SERVE, env=installation.env)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Read-only file system" in refused.stderr or "read-only" in refused.stderr or "readonly" in refused.stderr
    disk.mend()
    with installation.node() as node:
        assert node.ask("/oauth/token", credentials, **form).status_code == 200
