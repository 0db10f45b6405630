"""People at Chromium: each has a profile, a screen, a theme, with or without scripts; and what went wrong on a page.

What a page says in the console as an error, a script's uncaught error, a violation of its Content-Security-Policy
and a request that failed are troubles, and a test that leaves any it did not announce fails.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, ConsoleMessage, Page, Request, sync_playwright

from tests.browser.certificate import Certificate
from tests.browser.parts import chromium_executable, keeps_preferences

Screen = Literal["desktop", "phone"]
Theme = Literal["light", "dark"]
SCREENS: Final = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
PATIENCE_MS: Final = 60_000
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",  # nothing leaves
)


@dataclass(frozen=True)
class Chromium:
    """One that runs, in which profiles are cheap, and how to start another."""

    kind: BrowserType
    executable: Path
    flags: tuple[str, ...]
    running: Browser


@contextmanager
def running_chromium(certificate: Certificate) -> Iterator[Chromium]:
    executable = chromium_executable()
    flags = (*FLAGS, f"--ignore-certificate-errors-spki-list={certificate.pin}")
    with sync_playwright() as playwright:
        kind = playwright.chromium
        running = kind.launch(executable_path=executable, args=flags)
        yield Chromium(kind, executable, flags, running)
        running.close()


class Browse:
    """`browse()` is a page in a new profile; `page.context.new_page()` is another tab of that profile."""

    def __init__(self, chromium: Chromium, folder: Path, open_profiles: ExitStack) -> None:
        self._chromium = chromium
        self._folder = folder
        self._open = open_profiles
        self._troubles: list[str] = []
        self._announced: list[str] = []

    def __call__(
        self,
        screen: Screen = "desktop",
        theme: Theme = "light",
        *,
        scripts: bool = True,
        third_party_cookies: bool | None = None,
        troubles: str | None = None,
    ) -> Page:
        """`third_party_cookies`: the person's own setting, in a Chromium of their own; None leaves it to Chromium.
        `troubles` announces those that match this pattern.
        """
        phone = screen == "phone"
        look: dict[str, Any] = {
            "viewport": SCREENS[screen],
            "is_mobile": phone,
            "has_touch": phone,
            "color_scheme": theme,
            "java_script_enabled": scripts,
        }
        if third_party_cookies is None:
            profile = self._chromium.running.new_context(**look)
        else:
            profile = self._profile_that_sets(third_party_cookies, look)
        self._open.callback(profile.close)
        profile.set_default_timeout(PATIENCE_MS)
        self._listen(profile)
        if troubles:
            self._announced.append(troubles)
        return profile.new_page()

    def assert_no_troubles(self) -> None:
        troubles = [each for each in self._troubles if not any(re.search(known, each) for known in self._announced)]
        assert not troubles, "troubles that the test did not announce:\n" + "\n".join(troubles)

    def _profile_that_sets(self, third_party_cookies: bool, look: dict[str, Any]) -> BrowserContext:
        if not keeps_preferences(self._chromium.executable):
            pytest.skip("npm's Chromium has no setting for third-party cookies: `sudo apt-get install chromium`")
        folder = self._folder / f"profile-{len(list(self._folder.iterdir()))}"
        preferences = folder / "Default" / "Preferences"
        preferences.parent.mkdir(parents=True)
        preferences.write_text(json.dumps({"profile": {"cookie_controls_mode": 0 if third_party_cookies else 1}}))
        return self._chromium.kind.launch_persistent_context(
            folder, executable_path=self._chromium.executable, args=self._chromium.flags, **look
        )

    def _listen(self, profile: BrowserContext) -> None:
        def said(message: ConsoleMessage) -> None:
            by_itself = message.location["url"].endswith("/favicon.ico")  # Chromium asks for one, or not
            if message.type == "error" and not by_itself:
                self._troubles.append(f"{message.location['url']}: {message.text}")

        def failed(request: Request) -> None:
            if request.failure != "net::ERR_ABORTED":  # the page itself left before the answer came
                self._troubles.append(f"{request.url}: {request.failure}")

        profile.on("console", said)
        profile.on("weberror", lambda uncaught: self._troubles.append(str(uncaught.error)))
        profile.on("requestfailed", failed)
