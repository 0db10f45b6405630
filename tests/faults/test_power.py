"""Attack row F3: power is cut at any moment, and of what was not synced anything may be left.

F2 too: "all arrived" is what a killed process leaves, at each write and each sync of every operation.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest

from detent.core.changes import EndFamilies, InsertFamily, InsertRecord, ReplaceFamily, changed
from detent.core.errors import StoreUnavailable
from detent.core.family import Family, Presented, Rotate, Surroundings, decide, revoke
from detent.core.ids import FamilyKey
from detent.core.policy import KINDS
from detent.stores.sqlite import SqliteStore
from detent.testing.factories import NOW, a_family, a_record
from tests.faults.power import Acknowledged, Image, RecordingDisk, images

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]
IMAGES = int(os.environ.get("FAULTS_IMAGES", "300"))
STRICT = KINDS["browser"].policy
FAMILIES, TURNS = 12, 260  # more pages than the log holds before it is checkpointed
DEAD = 10_000  # what the number of a family is once it ended


def turned(family: Family) -> Family:
    decision = decide(family, Presented(family.generation, family.epoch), STRICT, Surroundings(), NOW)
    assert isinstance(decision, Rotate)
    return decision.after


async def busy_day(path: Path, disk: RecordingDisk) -> None:
    """Redemptions, rotations alone and together, kills and revocations, a sweep; each noted when it was answered."""
    store = await SqliteStore.open(path, vfs=disk.name)

    async def live(number: int) -> None:
        family = a_family(number, subject=f"user {number}")
        parts = (InsertFamily(family), InsertRecord(a_record(f"code {number}", expires_at=NOW)))
        await store.apply(changed(*parts))
        disk.record.append(Acknowledged(family.key.text, family.generation))
        for _ in range(TURNS):
            family = turned(family)
            await store.apply(changed(ReplaceFamily(family)))
            disk.record.append(Acknowledged(family.key.text, family.generation))
        if number % 3 == 0:
            dead = revoke(family, "reuse", NOW)
            assert dead
            await store.apply(changed(ReplaceFamily(dead)))
        elif number % 3 == 1:
            subject = family.authorization.subject
            await store.apply(changed(EndFamilies(family.key.placement, subject, "user")))
        else:
            return
        disk.record.append(Acknowledged(family.key.text, DEAD))

    await asyncio.gather(*(live(number) for number in range(FAMILIES // 2)))
    for number in range(FAMILIES // 2, FAMILIES):
        await live(number)
    await store.sweep(NOW, retention=0)
    await store.close()


def recorded(tmp_path: Path, *, lies: bool) -> RecordingDisk:
    disk = RecordingDisk(f"recording {tmp_path.name}", lies=lies)
    asyncio.run(busy_day(tmp_path / "detent.db", disk))
    return disk


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of an image, which is one already: where there is one, in memory, for nobody syncs it."""
    memory = Path("/dev/shm")  # noqa: S108
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path, prefix="detent-image-") as folder:
        yield Path(folder)


def fault(image: Image, folder: Path) -> str:
    """What is wrong with the store that comes back of an image; empty if nothing is."""
    for old in folder.iterdir():
        old.unlink()
    for name, data in image.files.items():
        if data:
            (folder / name).write_bytes(data)
    path = folder / "detent.db"
    try:
        found = asyncio.run(numbers(path, list(image.acknowledged)))
    except (StoreUnavailable, apsw.Error) as error:
        return f"does not open: {error}"
    try:
        with closing(apsw.Connection(str(path))) as db:
            told = "; ".join(line for (line,) in db.execute("PRAGMA integrity_check"))
    except apsw.Error as error:
        told = str(error)
    if told != "ok":
        return f"is damaged: {told}"
    lost = [name for name, number in image.acknowledged.items() if found[name] < number]
    return f"lost {len(lost)} acknowledged changes" if lost else ""


async def numbers(path: Path, names: list[str]) -> dict[str, int]:
    store = await SqliteStore.open(path)

    async def number(name: str) -> int:
        key = FamilyKey.parse(name)
        assert key
        stored = await store.family(key)
        living = stored is not None and stored.family.status == "live"
        return (stored.family.generation if living else DEAD) if stored else 0

    found = await asyncio.gather(*map(number, names))
    await store.close()
    return dict(zip(names, found, strict=True))


def test_attack_f3_whatever_of_the_unsynced_is_left_nothing_acknowledged_is_lost(tmp_path: Path, folder: Path) -> None:
    disk = recorded(tmp_path, lies=False)
    faults = [
        f"{image.kind} at {image.moment} of {len(disk.record)}: {said}"
        for image in images(disk.record, IMAGES)
        if (said := fault(image, folder))
    ]
    assert faults == []


def test_attack_f3_a_disk_that_only_says_that_it_synced_is_found_out(tmp_path: Path, folder: Path) -> None:
    """The same images must go wrong where they can: else the test above proves nothing."""
    disk = recorded(tmp_path, lies=True)
    faults = [fault(image, folder) for image in images(disk.record, 50)]
    assert any("lost" in said or "damaged" in said or "open" in said for said in faults)
