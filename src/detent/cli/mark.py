"""The mark of a data directory: outside the store, how far the store was when it was last served.

Leaves: what a difference means, to core/rollback.py. The file is replaced whole, and lasts before the next beat.
"""

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from detent.cli.office import Office
from detent.core.changes import Beat, changed
from detent.core.errors import StoreUnavailable
from detent.core.rollback import BEAT_SECONDS, Mark, compared

log = logging.getLogger("detent.store")

MARK_FILE: Final = "mark.json"
LOCK_FILE: Final = "served"
REFUSALS: Final = {
    "older": "The store is older than it was when it was last served: somebody put a copy from the past in its place. "
    "What was used or revoked since would be good again. Bring the newer one back, or, if the copy is meant, "
    "say so: `detent restore`.",
    "another": "This is another store than the one that was served from this directory. Bring that one back, name "
    "another directory with --data, or, if the change is meant, say so: `detent restore`.",
}


def read_mark(data: Path) -> Mark | None:
    """Raises StoreUnavailable for one that is damaged."""
    path = data / MARK_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise StoreUnavailable(
            f"{path} is damaged ({error}). If the store is the right one: `detent restore`."
        ) from error


def write_mark(data: Path, mark: Mark) -> None:
    new = data / f"{MARK_FILE}.{os.getpid()}"
    with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(mark))
        file.flush()
        os.fsync(file.fileno())
    new.replace(data / MARK_FILE)
    folder = os.open(data, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def mark_of(office: Office) -> Mark:
    installation = await office.outside.store.installation()
    return Mark(installation.store_id, installation.restore_epoch, (await office.directory.pulse()).beats)


async def beat(office: Office) -> None:
    """One more, and noted. Raises StoreUnavailable where the store is not the one that was marked."""
    data = office.settings.data
    noted = read_mark(data)  # before the store is looked at: who serves this directory too goes on meanwhile
    if refusal := REFUSALS.get(compared(noted, await mark_of(office))):
        raise StoreUnavailable(refusal)
    await office.outside.store.apply(changed(Beat(office.clock.now())))
    await asyncio.to_thread(write_mark, data, await mark_of(office))


async def beat_for_ever(office: Office) -> None:
    """A store that is exchanged under a running server ends the server; the next start says why."""
    health = office.house.health
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        try:
            await beat(office)
        except (StoreUnavailable, OSError) as error:
            if str(error) not in REFUSALS.values():
                log.warning("the store could not be marked: %s", error)
                health.set("store_read_only", f"The store takes no writes: {error}")
                continue
            health.set("store_behind", str(error))
            log.critical("%s", error)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        health.set("store_read_only", "")


@contextmanager
def served(data: Path, *, alone: bool = False) -> Iterator[None]:
    """While servers run on this directory nobody restores it. Raises StoreUnavailable if somebody is in the way."""
    descriptor = os.open(data / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        who = "A server runs on this directory. Stop it first." if alone else "This directory is being restored."
        raise StoreUnavailable(who) from None
    try:
        yield
    finally:
        os.close(descriptor)
