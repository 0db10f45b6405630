"""What a browser calls itself, as a person would say it; whatever comes, it is short, printable and found at once."""

import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.identity.devices import MAX_CHARACTERS, device_name

MOZILLA = "Mozilla/5.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
NAMES = {
    f"{MOZILLA} (X11; Linux x86_64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36": "Chrome on Linux",
    f"{MOZILLA} (Linux; Android 10; K) {WEBKIT} Chrome/140.0.0.0 Mobile Safari/537.36": "Chrome on Android",
    f"{MOZILLA} (Android 14; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0": "Firefox on Android",
    f"{MOZILLA} (X11; Ubuntu; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0": "Firefox on Ubuntu",
    f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0": "Edge on Windows",
    f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Safari/605.1.15": "Safari on Mac OS X",
    f"{MOZILLA} (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Mobile/15E148 Safari/604.1": "Safari on iOS",
    f"{MOZILLA} (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 "
    "Mobile/15E148 Safari/604.1": "Chrome on iOS",
    "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7)": "Android",
    "curl/8.5.0": "curl",
    "Go-http-client/1.1": "Go-http-client",
    "(X11; Linux x86_64)": "Linux",
    "": "Unknown device",
    "x": "Unknown device",
    MOZILLA: "Unknown device",
}


@pytest.mark.parametrize("user_agent", NAMES)
def test_a_device_is_named_as_a_person_would_name_it(user_agent: str) -> None:
    assert device_name(user_agent) == NAMES[user_agent]


@settings(deadline=None)  # the first one loads the table
@given(st.one_of(st.text(), st.sampled_from(list(NAMES)).flatmap(lambda known: st.text().map(known.__add__))))
def test_attack_l2_whatever_it_says_the_name_is_short_and_printable(user_agent: str) -> None:
    name = device_name(user_agent)
    assert 1 <= len(name) <= MAX_CHARACTERS
    assert name.isprintable()
    assert name == name.strip()


def test_a_long_name_is_cut() -> None:
    assert device_name("Long" * 30 + "/1.0 CFNetwork/1485 Darwin/23.1.0") == "Long" * 15


@pytest.mark.parametrize("piece", ["(", "; Android", " ", "a/", "1.", "Mozilla/5.0 (", "Build/", "\x00", "ж"])
def test_no_user_agent_takes_long(piece: str) -> None:
    device_name("curl/8.5.0")
    start = time.process_time()
    device_name(piece * 5000)
    assert time.process_time() - start < 0.05


def test_no_command_line_waits_for_the_table_of_browsers() -> None:
    code = "import sys, detent.identity.devices; sys.exit('ua_parser' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
