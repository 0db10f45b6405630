"""Which changes are possible on a full disk: those that issue nothing, by their kind."""

import pytest

from detent.core.changes import (
    Beat,
    Changes,
    EndFamilies,
    EndSessions,
    InsertFamily,
    InsertRecord,
    InsertUser,
    Part,
    RaiseServerEpoch,
    RemoveClient,
    RemoveConsent,
    RemoveUser,
    ReplaceClient,
    ReplaceFamily,
    ReplaceUser,
    changed,
)
from detent.core.family import revoke
from detent.core.ids import ClientId, Subject
from detent.testing.factories import NOW, a_client, a_family, a_record, a_user

pytestmark = pytest.mark.quick

DEAD = revoke(a_family(), "user", NOW)
assert DEAD
ENDING: list[Part] = [
    ReplaceFamily(DEAD),
    EndFamilies(1, Subject("alice"), "user"),
    EndSessions(1, Subject("alice"), "user"),
    RemoveConsent(Subject("alice"), ClientId("app")),
    RaiseServerEpoch(),
    ReplaceUser(a_user(version=2, epoch=1)),
    RemoveUser(Subject("alice"), 1),
    ReplaceClient(a_client(version=2, enabled=False)),
    RemoveClient(ClientId("app"), 1),
]
ISSUING: list[Part] = [
    ReplaceFamily(a_family(version=2)),
    InsertFamily(a_family()),
    InsertRecord(a_record()),
    InsertUser(a_user()),
    Beat(NOW),
]


@pytest.mark.parametrize("part", ENDING, ids=repr)
def test_fault_f4_what_ends_cuts_off_or_disables_may_use_the_reserve(part: Part) -> None:
    assert changed(part).only_ends


@pytest.mark.parametrize("part", ISSUING, ids=repr)
def test_fault_f4_what_issues_or_keeps_alive_may_not(part: Part) -> None:
    assert not changed(part).only_ends
    assert not changed(ENDING[0], part).only_ends


def test_fault_f4_no_change_at_all_ends_nothing() -> None:
    assert not Changes(()).only_ends
