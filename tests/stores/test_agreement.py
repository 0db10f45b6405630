"""The two stores agree: whatever is asked of both, in whatever order, both conflict or both end up the same."""

import asyncio
import tempfile
from pathlib import Path
from typing import get_args

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.core.audit import AuditLink
from detent.core.authorization import Epochs
from detent.core.changes import (
    AppendLink,
    Changes,
    ConsumeRecord,
    EndFamilies,
    EndSessions,
    InsertApi,
    InsertClient,
    InsertFamily,
    InsertRecord,
    InsertSession,
    InsertUser,
    InsertWebhook,
    Part,
    PruneLink,
    RaiseServerEpoch,
    RemoveApi,
    RemoveClient,
    RemoveConsent,
    RemoveUser,
    RemoveWebhook,
    ReplaceApi,
    ReplaceClient,
    ReplaceFamily,
    ReplaceRecord,
    ReplaceSession,
    ReplaceUser,
    ReplaceWebhook,
    SaveConsent,
    SlideSession,
    Which,
)
from detent.core.errors import Conflict
from detent.core.ids import ClientId, Instant, SessionKey, Subject, placement_of
from detent.core.session import SessionLife
from detent.stores.memory import MemoryStore
from detent.stores.sqlite import SqliteStore
from detent.testing.factories import (
    NOW,
    a_client,
    a_consent,
    a_family,
    a_record,
    a_session,
    a_user,
    an_api,
    an_authorization,
    an_event,
)
from detent.testing.store_contract import CompleteStore
from detent.testing.store_contract.webhooks import a_webhook

names = st.sampled_from(["a", "b"])
spellings = st.sampled_from(["Ann", "ann", "Bob"])
versions = st.integers(1, 3)
small = st.integers(0, 2)
sids = st.builds(lambda number, subject: a_session(number, subject=subject).sid, small, names)
families = st.builds(
    lambda number, subject, client, version, generation, suspected, end, sid, offline, epochs: a_family(
        number, subject=subject, client_id=client, version=version, generation=generation, suspected=suspected,
        absolute_until=NOW + end,
        authorization=an_authorization(
            subject, client, session_id=sid, scope=("read", "offline_access") if offline else ("read",),
            number=number * 2 + version % 2, epochs=epochs,
        ),
    ),
    small, names, names, versions, small, st.booleans(), small, st.none() | sids, st.booleans(),
    st.builds(Epochs, small, small, small),
)  # fmt: skip
lives = st.builds(
    lambda used, idle, end: SessionLife(Instant(NOW + used), Instant(NOW + idle), Instant(NOW + end)),
    small, small, small,
)  # fmt: skip
sessions = st.builds(
    lambda number, subject, version, life: a_session(number, subject=subject, version=version, life=life),
    small, names, versions, lives,
)  # fmt: skip
consents = st.builds(lambda who, app, version: a_consent(who, app, version=version), names, names, versions)
records = st.builds(
    lambda key, version, end: a_record(key, version=version, expires_at=Instant(NOW + end)), names, versions, small
)
clients = st.builds(
    lambda name, version, epoch, on: a_client(name, version=version, epoch=epoch, enabled=on),
    names, versions, small, st.booleans(),
)  # fmt: skip
apis = st.builds(lambda name, version: an_api(name, version=version), names, versions)
users = st.builds(
    lambda subject, username, version, epoch: a_user(subject, username=username, version=version, epoch=epoch),
    names, spellings, versions, small,
)  # fmt: skip
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(InsertFamily, families, st.booleans(), st.booleans()),
    st.builds(ReplaceFamily, families),
    st.builds(
        lambda who, which, app, sid, but: EndFamilies(placement_of(who), Subject(who), "x", which, app, sid, but),
        names, st.sampled_from(get_args(Which)), st.none() | names, st.none() | sids, st.none() | sids,
    ),
    st.builds(InsertSession, sessions),
    st.builds(ReplaceSession, sessions),
    st.builds(lambda session, life: SlideSession(session.key, life), sessions, lives),
    st.builds(
        lambda who, only, but: EndSessions(placement_of(who), Subject(who), "x", only, but),
        names, st.none() | sids, st.none() | sids,
    ),
    st.builds(SaveConsent, consents),
    st.builds(lambda who, app: RemoveConsent(Subject(who), ClientId(app)), names, names),
    st.builds(InsertRecord, records),
    st.builds(ReplaceRecord, records),
    st.builds(
        lambda key, version, end: ConsumeRecord("test", key, version, Instant(NOW + end)), names, versions, small
    ),
    st.builds(InsertClient, clients),
    st.builds(ReplaceClient, clients),
    st.builds(lambda name, version: RemoveClient(ClientId(name), version), names, versions),
    st.builds(InsertApi, apis),
    st.builds(ReplaceApi, apis),
    st.builds(RemoveApi, names, versions),
    st.builds(InsertUser, users),
    st.builds(ReplaceUser, users),
    st.builds(lambda name, version: RemoveUser(Subject(name), version), names, versions),
    st.just(RaiseServerEpoch()),
    st.builds(lambda name: InsertWebhook(a_webhook(name)), names),
    st.builds(lambda name, version: ReplaceWebhook(a_webhook(name, version=version)), names, versions),
    st.builds(RemoveWebhook, names, versions),
    st.builds(lambda number: PruneLink(number, (number,), AuditLink(0, str(number), b"")), versions),
    st.builds(lambda number: AppendLink(AuditLink(number, "{}", b"")), versions),
)  # fmt: skip
told = st.lists(st.builds(lambda name: an_event(about=name), names), max_size=2)
changes = st.builds(lambda parts, events: Changes(tuple(parts), tuple(events)), st.lists(parts, max_size=3), told)
sweeps = st.integers(0, 3)
steps = st.lists(st.one_of(changes, changes, changes, sweeps), max_size=40)


async def carried_out(store: CompleteStore, step: Changes | int) -> int | str:
    if isinstance(step, int):
        return await store.sweep(Instant(NOW + step), retention=1)
    try:
        await store.apply(step)
    except Conflict:
        return "conflict"
    return "done"


async def everything(store: CompleteStore) -> list[object]:
    found = await store.families()
    names = ["a", "b"]
    return [
        [await store.family(family.key) for family in found],
        list(await store.families(subject=Subject("a"))),
        list(await store.families(client_id=ClientId("b"), limit=2)),
        [[await store.client(name), await store.api(name), await store.record("test", name)] for name in names],
        [
            [await store.user(name), await store.user_by_name(spelt)]
            for name, spelt in zip(names, ["ann", "BOB"], strict=True)
        ],
        [[list(await store.sessions(Subject(name))), list(await store.consents(Subject(name)))] for name in names],
        [
            await store.session(SessionKey(placement_of(name), number.to_bytes(16, "big")))
            for name in names
            for number in (0, 1, 2)
        ],
        [list(listed) for listed in (await store.clients(), await store.apis(), await store.users())],
        [event for _, event in await store.events()],
        list(await store.webhooks()),
        [list(await store.audit_rows()), list(await store.audit_links()), await store.last_link()],
        [list(await store.ended(range(1, 6), Instant(NOW + later))) for later in range(3)],
        msgspec.structs.replace(await store.installation(), store_id=""),
    ]


async def same_in_both(steps: list[Changes | int], folder: Path) -> None:
    memory, sqlite = MemoryStore(), await SqliteStore.open(folder / "detent.db")
    try:
        for step in steps:
            assert await carried_out(memory, step) == await carried_out(sqlite, step)
        assert await everything(memory) == await everything(sqlite)
    finally:
        await sqlite.close()


@settings(max_examples=60, deadline=None)
@given(steps)
def test_memory_and_sqlite_agree_on_any_sequence_of_changes(steps: list[Changes | int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(same_in_both(steps, Path(folder)))
