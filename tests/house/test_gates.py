"""Rules of the house that a linter cannot see: rooms introduce themselves, features are listed once,
nothing in the repository names the machine it was written on, `./check` refuses what it does not know.
The arrows between rooms are in .importlinter.
"""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "detent"

# A home, a scratch folder or a mount at the start of a path; `/tmp` inside a longer path or URL is none.
WORKPLACE = re.compile(rb"(?<![\w.~>)}-])/(?:root|home|Users|work|workspace|tmp|mnt|media)/[\w.]")


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_every_room_says_in_three_to_six_lines_what_it_owns_and_leaves() -> None:
    rooms = sorted({path.parent for path in PACKAGE.glob("*/*.py")})
    assert rooms
    silent = []
    for room in rooms:
        init = room / "__init__.py"
        words = (ast.get_docstring(_tree(init)) or "" if init.exists() else "").lower()
        lines = [line for line in words.splitlines() if line.strip()]
        if not (3 <= len(lines) <= 6 and "own" in words and "leave" in words):
            silent.append(room.name)
    assert silent == []


def test_the_package_root_imports_nothing() -> None:
    """Every room can reach it, so that an arrow through it would be seen by no contract."""
    assert [node for node in ast.walk(_tree(PACKAGE / "__init__.py")) if "Import" in type(node).__name__] == []


def _root(element: ast.expr) -> str | None:
    """The name an entry such as `password.feature(x)` starts from."""
    while not isinstance(element, ast.Name):
        if isinstance(element, ast.Call):
            element = element.func
        elif isinstance(element, ast.Attribute):
            element = element.value
        else:
            return None
    return element.id


def test_every_feature_is_in_exactly_one_list_of_the_app() -> None:
    features = {path.stem for path in PACKAGE.glob("features/*.py")} - {"__init__"}
    app = PACKAGE / "app.py"
    nodes = ast.walk(_tree(app)) if app.exists() else iter(())
    lists = [{_root(element) for element in node.elts} for node in nodes if isinstance(node, ast.List | ast.Tuple)]
    assert {name: sum(name in each for each in lists) for name in features} == dict.fromkeys(features, 1)


def test_no_file_names_the_workplace() -> None:
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    names = subprocess.run(git, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    tracked = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert tracked
    assert [str(path.relative_to(ROOT)) for path in tracked if WORKPLACE.search(path.read_bytes())] == []


def test_the_lock_names_no_registry_but_the_public_one() -> None:
    for lock in (ROOT / "uv.lock", *ROOT.glob("tests/clients/*/uv.lock")):
        hosts = set(re.findall(r"https?://([^/\"]+)", lock.read_text()))
        assert hosts == {"pypi.org", "files.pythonhosted.org"}


def test_the_npm_locks_name_no_registry_and_a_hash_of_every_package() -> None:
    for lock in ROOT.glob("tests/*/*/package-lock.json"):
        _, *packages = json.loads(lock.read_text())["packages"].values()
        assert packages
        assert all("integrity" in package and "resolved" not in package for package in packages), lock


def test_check_refuses_a_level_it_does_not_know() -> None:
    run = subprocess.run([ROOT / "check", "slwo"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "no level named 'slwo'" in run.stderr
    assert "fast" in run.stderr


def test_check_clients_lists_the_clients_for_one_it_does_not_know() -> None:
    run = subprocess.run([ROOT / "check", "clients", "opneid-client"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "no client named 'opneid-client'" in run.stderr
    assert "openid-client" in run.stderr


NOT_QUICK = {"bench", "browser", "clients", "history", "honest", "system"}  # what takes longer, or a browser, or root


def test_the_fast_level_has_tests_of_every_room() -> None:
    tests = ROOT / "tests"
    files = {path: path.relative_to(tests).parts[0] for path in tests.glob("*/**/test_*.py")}
    quick = {room for path, room in files.items() if "mark.quick" in path.read_text()}
    assert set(files.values()) - quick == NOT_QUICK
