"""A newcomer's first minute: a clean clone, an empty home, an account without rights, nothing installed."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def clone() -> Iterator[Path]:
    """A clone of what is committed, in a folder that only `nobody` may enter; pytest's own folders are root's."""
    folder = Path(tempfile.mkdtemp(prefix="detent-clone-"))
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
    (folder / "home").mkdir()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.system
def test_a_fresh_clone_serves_for_an_account_without_rights(clone: Path) -> None:
    """`./up` from nothing but git, Python and pip; the walk-through's three requests; Ctrl-C ends it cleanly."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_"))}
    environment = kept | {"HOME": str(clone / "home"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    with subprocess.Popen(
        ["./up", "--json", "--port", "0"],
        cwd=clone,
        env=environment,
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
        extra_groups=[],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        ready = json.loads(server.stdout.readline())
        token = f"{ready['issuer']}oauth/token"
        first = _asked(token, grant_type="password", username="test", password="test")
        second = _asked(token, grant_type="refresh_token", refresh_token=first["refresh_token"])
        bearer = {"Authorization": f"Bearer {second['access_token']}"}
        opened = httpx.get(f"{ready['demo_api'].rstrip('/')}/secret", headers=bearer)
        server.terminate()
        status = server.wait(60)
    assert opened.status_code == 200
    assert status == 0
    assert ready["dashboard"] is None


def _asked(url: str, **form: str) -> dict[str, str]:
    answer = httpx.post(url, data=form, auth=("testclient", "secret"))
    assert answer.status_code == 200, answer.text
    told: dict[str, str] = answer.json()
    return told
