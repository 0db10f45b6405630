"""Attack row F4: on a full disk nothing is issued and nothing changes, but everything that revokes still does."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from detent.core.changes import EndFamilies, EndSessions, RaiseServerEpoch
from detent.core.ids import placement_of
from detent.stores.sqlite.reserve import RESERVE
from tests.faults.stepping import SteppingDisk
from tests.serving import Detent, on_sqlite, running

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]


class FullDisk:
    """The store's disk, full but for the room that the reserve takes up."""

    def __init__(self, disk: SteppingDisk, detent: Detent, folder: Path) -> None:
        self.detent = detent
        self.reserve = folder / "detent.db-reserve"
        self._disk = disk

    def fill(self) -> None:
        self._disk.fill(lambda: self.reserve.stat().st_size < RESERVE)

    def free(self) -> None:
        self._disk.disarm()


@pytest.fixture
def disk(tmp_path: Path, keys_folder: Path) -> Iterator[FullDisk]:
    disk = SteppingDisk(f"full {tmp_path.name}")
    with running(tmp_path, keys_folder, on_sqlite(tmp_path, vfs=disk.name, reserve=RESERVE)) as detent:
        yield FullDisk(disk, detent, tmp_path)
    disk.unregister()


def refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["error"], "Retry-After" in answer.headers) == (
        503,
        "temporarily_unavailable",
        True,
    )


def test_fault_f4_the_reserve_is_kept_from_the_start_and_only_its_owner_reads_it(disk: FullDisk) -> None:
    found = disk.reserve.stat()
    assert (found.st_size, found.st_blocks * 512 >= RESERVE, found.st_mode & 0o777) == (RESERVE, True, 0o600)


def test_fault_f4_nothing_is_issued_nothing_changes_and_all_goes_on_when_there_is_room(disk: FullDisk) -> None:
    detent = disk.detent
    token, code = detent.sign_in()["refresh_token"], detent.code("app")
    disk.fill()
    assert refused(detent.refresh("testclient", token))
    assert refused(detent.token(grant_type="password", username="test", password="test"))
    assert refused(detent.redeem("app", code))
    assert detent.family(token).generation == 1
    assert detent.introspect(token)["active"], "what only reads goes on"
    disk.free()
    assert detent.refresh("testclient", token).status_code == 200
    assert detent.redeem("app", code).status_code == 200


def test_fault_f4_revocation_the_kill_of_a_reused_family_and_cut_offs_are_still_written(disk: FullDisk) -> None:
    detent = disk.detent
    revoked, cut_off, consumed = (detent.sign_in()["refresh_token"] for _ in range(3))
    head = detent.refreshed("testclient", consumed)["refresh_token"]
    subject = detent.user("test").subject
    disk.fill()
    assert detent.revoke(revoked).status_code == 200
    reused = detent.refresh("testclient", consumed)
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    detent.apply(EndFamilies(placement_of(subject), subject, "user"), EndSessions(placement_of(subject), subject, "u"))
    detent.apply(RaiseServerEpoch())
    assert detent.family(revoked).status == "revoked"
    assert detent.family(head).status == "compromised"
    assert detent.family(cut_off).status == "revoked"
    assert refused(detent.token(grant_type="password", username="test", password="test"))
    disk.free()
    assert detent.sign_in()
    assert disk.reserve.stat().st_size == RESERVE, "kept back again"


def test_fault_f4_a_revocation_among_many_requests_to_issue_is_written_and_they_are_not(disk: FullDisk) -> None:
    detent = disk.detent
    tokens = [detent.sign_in()["refresh_token"] for _ in range(12)]
    disk.fill()

    def ask(number: int) -> httpx.Response:
        return detent.refresh("testclient", tokens[number]) if number % 3 else detent.revoke(tokens[number])

    answers = detent.at_once(12, ask)
    assert [answer.status_code for answer in answers] == [200, 503, 503] * 4
    disk.free()
    assert [detent.family(token).generation for token in tokens] == [1] * 12
    assert [detent.family(token).status for token in tokens] == ["revoked", "live", "live"] * 4
