"""The README says what is true: its rows have tests, its links lead somewhere, its walk-through works when pasted."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mission.rows import proofs

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_row_of_the_table_names_a_test_of_that_row_and_every_mission_test_has_its_row() -> None:
    rows = dict(re.findall(r"^\| ([A-E]\d+) \| .* \| \[\w+\.py\]\((tests/\w+/\w+\.py)\) \|$", README, re.M))
    proved = proofs()
    assert rows.keys() == proved.keys()
    assert [row for row, file in rows.items() if file not in proved[row]] == []


def test_every_relative_link_of_every_page_leads_to_a_file() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:\s]+)\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert not dead


@pytest.mark.slow
def test_a9_to_a13_the_walk_through_works_when_pasted_into_a_shell(tmp_path: Path) -> None:
    """Verbatim but for the place of `detent` and of its data; the ports are the README's own."""
    if not shutil.which("curl"):
        pytest.skip("the walk-through is for curl: `apt install curl`")
    script = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.S))
    detent = str(Path(sys.executable).with_name("detent"))
    script = script.replace(".venv/bin/detent family explain -", f"{detent} family explain - --data {tmp_path}")
    up = [detent, "up", "--json", "--data", str(tmp_path)]
    with subprocess.Popen(up, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        ready = json.loads(server.stdout.readline())
        try:
            pasted = subprocess.run(
                ["bash", "-e"], input=script, capture_output=True, text=True, timeout=60, check=True
            )
        finally:
            server.terminate()
    assert ready["issuer"] == "http://127.0.0.1:9400/"
    first, secret, secret_again, thief, owner, introspected, *story = pasted.stdout.splitlines()
    assert {"access_token", "refresh_token"} <= json.loads(first).keys()
    assert json.loads(secret) == json.loads(secret_again)
    assert json.loads(secret)["message"] == "This is the secret area."
    assert json.loads(thief)["error"] == json.loads(owner)["error"] == "invalid_grant"
    assert json.loads(introspected) == {"active": False}
    assert any("thief" in line for line in story)
