"""What a power cut can leave of a file system: images built from the record of everything that SQLite wrote.

What was written before a file's last sync is there. What came after may be there, be gone, have arrived in any order
(so that later writes are there and earlier ones are not), or have been torn at a sector. Two gentle kinds of image
are built beside the random ones: everything arrived (a process that was killed), and nothing since the sync.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import apsw
import msgspec

SECTOR: Final = 512


class Write(msgspec.Struct, frozen=True):
    file: str
    offset: int
    data: bytes


class Cut(msgspec.Struct, frozen=True):
    """A truncation; of a file that was deleted, to nothing."""

    file: str
    size: int


class Sync(msgspec.Struct, frozen=True):
    file: str


class Acknowledged(msgspec.Struct, frozen=True):
    """The store answered: from here on this must survive."""

    name: str
    value: int


Happened = Write | Cut | Sync | Acknowledged


class RecordingDisk(apsw.VFS):
    """Passes everything on to the real disk and writes it down. `lies`: says that it synced, and did not."""

    def __init__(self, name: str, *, lies: bool = False) -> None:
        self.name = name
        self.record: list[Happened] = []
        self._lies = lies
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "RecordedFile":
        return RecordedFile(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        super().xDelete(name, sync)
        self.record.append(Cut(Path(name).name, 0))
        if sync:  # the folder
            self.synced(Path(name).name)

    def synced(self, file: str) -> None:
        if not self._lies:
            self.record.append(Sync(file))


class RecordedFile(apsw.VFSFile):
    def __init__(self, disk: RecordingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._file = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "nameless").name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._disk.record.append(Write(self._file, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._disk.record.append(Cut(self._file, size))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.synced(self._file)


Kind = Literal["all arrived", "only what was synced", "dropped", "reordered", "torn"]
KINDS: Final[tuple[Kind, ...]] = ("all arrived", "only what was synced", "dropped", "reordered", "torn")


class Image(msgspec.Struct):
    """The files at a cut, and what had been acknowledged before it."""

    moment: int
    kind: Kind
    files: dict[str, bytearray]
    acknowledged: dict[str, int]


def images(record: list[Happened], many: int, seed: int = 1) -> Iterator[Image]:
    """`many` cuts at moments spread over the whole record, their kinds in turn."""
    chance = random.Random(seed)  # noqa: S311
    moments = sorted(chance.randrange(len(record) + 1) for _ in range(many))
    safe: dict[str, bytearray] = {}
    pending: dict[str, list[Write | Cut]] = {}
    acknowledged: dict[str, int] = {}
    done = 0
    for number, moment in enumerate(moments):
        for happened in record[done:moment]:
            _pass(happened, safe, pending, acknowledged)
        done = moment
        kind = KINDS[number % len(KINDS)]
        files = {name: bytearray(safe.get(name, b"")) for name in {*safe, *pending}}
        for name, changes in pending.items():
            for change in _arrived(changes, kind, chance):
                _carry_out(files[name], change)
        yield Image(moment, kind, files, dict(acknowledged))


def _pass(
    happened: Happened,
    safe: dict[str, bytearray],
    pending: dict[str, list[Write | Cut]],
    acknowledged: dict[str, int],
) -> None:
    match happened:
        case Acknowledged(name, value):
            acknowledged[name] = value
        case Sync(file):
            for change in pending.pop(file, []):
                _carry_out(safe.setdefault(file, bytearray()), change)
        case Write(file) | Cut(file):
            pending.setdefault(file, []).append(happened)


def _arrived(changes: list[Write | Cut], kind: Kind, chance: random.Random) -> list[Write | Cut]:
    match kind:
        case "all arrived":
            return changes
        case "only what was synced":
            return []
        case "dropped":
            return [change for change in changes if chance.random() < 0.5]
        case "reordered":
            return chance.sample(changes, chance.randrange(len(changes) + 1))
        case "torn":
            return [*(_torn(change, chance) for change in changes)]


def _torn(change: Write | Cut, chance: random.Random) -> Write | Cut:
    if isinstance(change, Cut) or chance.random() < 0.5:
        return change
    return Write(change.file, change.offset, change.data[: SECTOR * chance.randrange(len(change.data) // SECTOR + 1)])


def _carry_out(data: bytearray, change: Write | Cut) -> None:
    if isinstance(change, Cut):
        del data[change.size :]
        return
    end = change.offset + len(change.data)
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    data[change.offset : end] = change.data
