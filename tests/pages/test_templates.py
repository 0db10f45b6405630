"""Gates on the templates and their files: what a strict Content-Security-Policy and people without a mouse need."""

import re
from pathlib import Path

import pytest

from detent.pages.static import FILES

pytestmark = pytest.mark.quick

PAGES = Path(__file__).parents[2] / "src" / "detent" / "pages"
TEMPLATES = sorted((PAGES / "templates").glob("*.html"))
NO_INLINE = {
    "a style": r"<style|\sstyle\s*=",
    "a handler": r"\son[a-z]+\s*=",
    "a script of its own": r"<script(?![^>]*\bsrc=)|<script[^>]*>[^<]",
    "an address of a script": r"javascript:",
    "an escape from escaping": r"\|\s*safe\b|autoescape|Markup",
    "a jump in the order of the keyboard": r"tabindex",
    "something from elsewhere": r"(?:src|href)=\"(?:https?:)?//",
}


@pytest.mark.parametrize("fault", NO_INLINE)
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_no_template_has(template: Path, fault: str) -> None:
    assert not re.search(NO_INLINE[fault], template.read_text(), re.I)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_every_form_of_ours_carries_its_token_and_every_attribute_is_quoted(template: Path) -> None:
    text = template.read_text()
    forms = re.findall(r'<form method="post" action="([^"]*)"(.*?)</form>', text, re.S)
    assert len(forms) == text.count("<form")
    for action, content in forms:
        if "{{" not in action:  # form_post leads to the app
            assert '<input type="hidden" name="csrf" value="{{ csrf }}">' in content
    assert not re.search(r"=\s*\{\{", text), "an unquoted attribute"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_names_that_others_chose_are_isolated_from_the_text_around_them(template: Path) -> None:
    """Unicode UAX 9: outside of attributes and titles each stands in a `bdi`."""
    text = re.sub(r"<title>.*?</title>|\{% block title %\}.*?\{% endblock %\}", "", template.read_text())
    text = re.sub(r'="[^"]*"', "", text)
    for found in re.finditer(r"(<bdi>)?\{\{ [a-z.]*(?:name|site|wish|whence|username|app) ", text):
        assert found[1], text[found.start() : found.start() + 60]


def test_every_file_is_served_and_used() -> None:
    assert {path.name for path in (PAGES / "static").iterdir()} == set(FILES)
    used = "".join(path.read_text() for path in TEMPLATES)
    assert [name for name in FILES if f"static/{name}" not in used] == []


def test_the_style_sheet_names_no_other_origin_and_both_themes() -> None:
    css = (PAGES / "static" / "detent.css").read_text()
    assert not re.search(r"url\(|@import|//(?!.*\*/)", css)
    for wish in (
        "prefers-color-scheme: dark",
        "prefers-reduced-motion",
        "prefers-contrast: more",
        "forced-colors: active",
    ):
        assert f"@media ({wish}" in css
