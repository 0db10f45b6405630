"""docs/clients/ shows the programs that are tested, word for word; its index names every client with its version."""

from pathlib import Path

import pytest

from tests.clients.pages import BLOCK, PAGES, pages, with_programs, with_table

WRITE = "run: python -m tests.clients.pages"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_the_code_of_a_page_is_that_of_the_tested_program(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert BLOCK.search(text)
    assert with_programs(text) == text, WRITE


def test_the_index_lists_every_page_with_what_is_pinned_and_run() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert with_table(index) == index, WRITE
