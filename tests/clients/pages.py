"""docs/clients/: the code of every page is the region of the program that is tested, and the index is made of both.

`python -m tests.clients.pages` writes them; tests/docs/test_clients.py says when that is due. The words of a page are
its author's; its first line after the title says which package it is about.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ROOT / "docs" / "clients"
REGION: Final = re.compile(r"^(?://|#) the page shows from here\n(.*)^(?://|#) to here$", re.M | re.S)
BLOCK: Final = re.compile(r"(<!-- (tests/clients/programs/[\w.-]+) -->\n```\w+\n)(.*?)(^```$)", re.M | re.S)
TABLE: Final = re.compile(r"(?<=<!-- clients -->\n\n).*\Z", re.S)


def pages() -> list[Path]:
    return sorted(page for page in PAGES.glob("*.md") if page.name != "README.md")


def with_programs(page: str) -> str:
    """The page with what its programs hold today."""
    return BLOCK.sub(lambda found: found[1] + region(ROOT / found[2]) + found[4], page)


def region(program: Path) -> str:
    shown = REGION.findall(program.read_text(encoding="utf-8"))
    assert len(shown) == 1, f"{program} marks what its page shows"
    code: str = shown[0]
    return code.strip("\n") + "\n"


def with_table(index: str) -> str:
    rows = ["| client | version | what is run |", "|---|---|---|", *map(_row, pages())]
    return TABLE.sub("\n".join(rows).replace("\\", r"\\") + "\n", index)


def _row(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    title, package = re.match(r"# (.*)\n\nPackage: `([^`]+)`", text).groups()  # type: ignore[union-attr]
    test = ROOT / "tests" / "clients" / f"test_{page.stem.replace('-', '_')}.py"
    told = re.match(r'"""(.*?[.])(?:\n|""")', test.read_text(encoding="utf-8"))
    assert told, f"the first line of {test} says what is run"
    return f"| [{title}]({page.name}) | {version(package)} | [{told[1]}](../../tests/clients/{test.name}) |"


def version(package: str) -> str:
    """Of a package as its lock pins it; of what an operating system brings, the range that its name holds."""
    name, _, said = package.partition(" ")
    return said or _locked()[name]


def _locked() -> dict[str, str]:
    npm = json.loads((ROOT / "tests/clients/node/package-lock.json").read_text())["packages"]
    found = {path.removeprefix("node_modules/"): each["version"] for path, each in npm.items() if path}
    python = ROOT / "tests/clients/python/uv.lock"
    if python.exists():
        found |= {each["name"]: each.get("version", "") for each in tomllib.loads(python.read_text())["package"]}
    return found


if __name__ == "__main__":
    for each in pages():
        each.write_text(with_programs(each.read_text(encoding="utf-8")), encoding="utf-8")
    readme = PAGES / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
