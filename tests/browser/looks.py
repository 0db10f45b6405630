"""What a page looks like, and to whom it is legible: on both screens, in both themes, from where it stands now."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Error, Page

from tests.browser.parts import SCREENSHOTS, npm_file
from tests.browser.people import SCREENS

_TRIES: Final = 5
_NO_FRAME: Final = "Unable to capture screenshot"  # on a busy machine Chromium may have none, which is no page's fault
_DARK: Final = "matchMedia('(prefers-color-scheme: dark)').matches"
_SCRIPTS: Final = "matchMedia('(scripting: enabled)').matches"
_SIDEWAYS: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_AXE: Final = "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"


def pictured(page: Page, name: str) -> None:
    """Saves .detent/screenshots/NAME-THEME-SCREEN.png for each look, the whole page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for look in _looks(page):
        _capture(page, SCREENSHOTS / f"{name}-{look}.png")


def accessible(page: Page) -> None:
    """axe-core finds nothing, and nothing needs scrolling sideways (WCAG 2.2 §1.4.10), in any look."""
    assert page.evaluate(_SCRIPTS), "axe-core is a script: ask on a page that has them"
    page.evaluate(npm_file("axe-core/axe.min.js").read_text() + ";0")
    faults: list[str] = []
    for look in _looks(page):
        faults += [f"{look}: {fault}" for found in page.evaluate(_AXE) for fault in _told(found)]
        if (wide := page.evaluate(_SIDEWAYS)) > 0:
            faults.append(f"{look}: wider than the screen by {wide} px")
    assert not faults, f"{page.url}\n" + "\n".join(faults)


def _capture(page: Page, path: Path) -> None:
    for left in reversed(range(_TRIES)):
        try:
            page.screenshot(path=path, full_page=True, animations="disabled")
        except Error as error:
            if _NO_FRAME not in error.message or not left:
                raise
        else:
            return


def _told(violation: dict[str, Any]) -> Iterator[str]:
    for node in violation["nodes"]:
        yield f"{violation['id']} at {node['html']}\n  {node['failureSummary']}"


def _looks(page: Page) -> Iterator[str]:
    screen, dark = page.viewport_size, page.evaluate(_DARK)
    try:
        for name, size in SCREENS.items():
            page.set_viewport_size(size)
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                yield f"{theme}-{name}"
    finally:
        page.set_viewport_size(screen)
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="null")
