"""Fault row F17: however many people sign in at once, those who are signed in notice nothing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from detent.identity.passwords import Passwords, Profile
from tests.attacks.outcomes import signed_in
from tests.serving import running

pytestmark = pytest.mark.slow
STORM, WAITING, REFRESHES = 40, 24, 20
SLOW = Profile(memory_kib=64 * 1024, passes=6)  # some tenths of a second


def test_fault_f17_refreshes_go_on_under_a_storm_of_sign_ins(tmp_path: Path, keys_folder: Path) -> None:
    """Hashes queue behind hashes and in front of nothing else; who finds no place there is told when to come back."""
    passwords = Passwords(SLOW, workers=1, waiting=WAITING)
    with running(tmp_path, keys_folder, passwords=passwords) as detent, ThreadPoolExecutor(STORM) as people:
        mine = signed_in(detent, "app")

        def sign_in(number: int) -> tuple[int, str | None]:
            form = {"grant_type": "password", "username": f"nobody-{number}", "password": "x"}
            answer = detent.token("testclient", **form)
            return answer.status_code, answer.headers.get("retry-after")

        storm = [people.submit(sign_in, number) for number in range(STORM)]
        for _ in range(REFRESHES):
            mine = detent.refreshed("app", mine["refresh_token"])
            detent.clock.advance(61)
        assert not all(each.done() for each in storm), "the last refresh was answered before the last sign-in"
        ended = [each.result() for each in storm]
    assert {status for status, _ in ended} == {400, 503}
    assert all(retry_after for status, retry_after in ended if status == 503)
    assert [status for status, _ in ended].count(400) >= WAITING
