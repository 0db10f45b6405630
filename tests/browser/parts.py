"""Where the parts are that `./check browser` brings (.ci/browser.sh), and what to do where one is missing."""

import shutil
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SCREENSHOTS: Final = ROOT / ".detent" / "screenshots"
_PARTS: Final = ROOT / ".detent" / "browser"
_NPM_CHROMIUM: Final = _PARTS / "chromium" / "node_modules" / "unpacked" / "chromium"


def chromium_executable() -> Path:
    """The system's, else the one from npm. Skips."""
    if found := shutil.which("chromium"):
        return Path(found)
    if not _NPM_CHROMIUM.exists():
        pytest.skip("no Chromium: `sudo apt-get install chromium`, or with Node.js `./check browser`")
    return _NPM_CHROMIUM


def keeps_preferences(executable: Path) -> bool:
    """npm's Chromium is the headless shell, which knows no settings of a person's."""
    return executable != _NPM_CHROMIUM


def npm_file(path: str) -> Path:
    """A file of an npm package that tests/browser/clients locks. Skips."""
    modules = _PARTS / "clients" / "node_modules"
    if not (modules / "installed.json").exists():
        pytest.skip("no npm packages: `sudo apt-get install nodejs npm`, then `./check browser`")
    return modules / path
