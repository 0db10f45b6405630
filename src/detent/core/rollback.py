"""Whether a store is the one that was served last, or a copy of it from the past.

A store that came back from a backup without a word accepts what was consumed or revoked since. So servers beat: they
count in the store, and note outside of it what they counted (`Mark`). A store that has counted less than its mark is
older than it was. An announced restore raises the restore epoch, which every older handle shows.
"""

from typing import Literal

import msgspec

BEAT_SECONDS = 10  # what a copy must be older than to be noticed by its mark alone

Found = Literal["the same", "restored", "older", "another"]


class Mark(msgspec.Struct, frozen=True):
    """A store as somebody last saw it."""

    store_id: str
    restore_epoch: int
    beats: int


def compared(mark: Mark | None, found: Mark) -> Found:
    """What the store found is to the one marked; without a mark there is nothing to hold against it."""
    if mark is None:
        return "the same"
    if found.store_id != mark.store_id:
        return "another"
    if found.restore_epoch > mark.restore_epoch:
        return "restored"
    return "the same" if (found.restore_epoch, found.beats) >= (mark.restore_epoch, mark.beats) else "older"
