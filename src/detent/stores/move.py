"""Moves a store from an SQLite file into an empty PostgreSQL database; a planned move, so that every token stays good.

Both sides are one transaction each, and neither is acknowledged before every table was read back and compared. The
file says that it is gone before the database can say that it is the store: at no moment can both be served, and
whoever dies in between leaves a file that the same command, or its undoing, takes up again.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from detent.core.errors import StoreUnavailable
from detent.stores.moving import Digest, Gone, Moved, Part, planned
from detent.stores.postgres import PostgresStore
from detent.stores.postgres.arriving import Target
from detent.stores.rows import Row
from detent.stores.sqlite.leaving import Source

Doing = Literal["copying", "comparing"]
Tell = Callable[[Doing, str, int, int], None]
_TELL_EVERY: Final = 20_000  # rows


async def prepare(conninfo: str, *, replicated: bool) -> None:
    """Make the schema, in a database that is fit for it. Raises StoreUnavailable with what to do."""
    await (await PostgresStore.open(conninfo, replicated=replicated, connections=1)).close()


def move(path: Path, conninfo: str, tell: Tell) -> Moved:
    """`conninfo` has the schema of this release. `tell`: what is done, the table, how many of its rows, of how many.

    Raises StoreUnavailable with what to do.
    """
    with Source.opened(path) as source, Target.opened(conninfo) as target:
        parts = planned(source.columns(), target.columns())
        target.lock(parts)
        _refuse_other_targets(source, target, parts)
        if target.store_id() == source.mark().store_id:
            if not (digests := _same(source, target, parts, tell)):
                raise StoreUnavailable(
                    f"The store was moved to {target.place} before, and is in use there. {_ALL_DONE}"
                )
            return Moved(source.mark(), target.place, digests)
        source.leave(Gone(target.place, target.store_id()))
        for part in parts:
            target.take(part, _told(source.rows(part), tell, "copying", part.table, source.count(part)))
        for table, last in source.numbered().items():
            target.number_from(table, last)
        if not (digests := _same(source, target, parts, tell)):
            raise StoreUnavailable(_DIFFERS)
        moved = Moved(source.mark(), target.place, digests)
        source.commit()
        target.commit()
        return moved


def take_back(path: Path, conninfo: str, tell: Tell) -> None:
    """Undo a move whose successor was never used. Raises StoreUnavailable with what to do."""
    with Source.opened(path) as source, Target.opened(conninfo) as target:
        gone = source.gone()
        if gone is None:
            raise StoreUnavailable(f"The store {path} was not moved: there is nothing to undo.")
        parts = planned(source.columns(), target.columns())
        target.lock(parts)
        _refuse_strangers(gone, source, target)
        if target.store_id() == source.mark().store_id and not target.gone():
            if not _same(source, target, parts, tell):
                raise StoreUnavailable(
                    f"The store is in use in {target.place}: taking it back would bring back what was used and revoked "
                    "since. If that is meant, say so with `detent restore`, and everybody signs in again."
                )
            target.leave(str(path))
            target.commit()
        source.come_home()
        source.commit()


_ALL_DONE: Final = "Nothing is left to do: start the servers with the setting `store`."
_DIFFERS: Final = "PostgreSQL gave back other rows than it was given. Nothing was moved. Please report it."


def _refuse_other_targets(source: Source, target: Target, parts: list[Part]) -> None:
    if gone := source.gone():
        _refuse_strangers(gone, source, target)
    elif target.store_id() == source.mark().store_id:
        raise StoreUnavailable(
            f"{target.place} holds this store already, and this file was not marked as gone. Name an empty database."
        )
    if target.store_id() != source.mark().store_id and not target.is_new(parts):
        raise StoreUnavailable(f"{target.place} holds another installation. Name an empty database.")


def _refuse_strangers(gone: Gone, source: Source, target: Target) -> None:
    if target.store_id() not in {source.mark().store_id, gone.replaced}:
        raise StoreUnavailable(
            f"This store was moved to {gone.place}, and {target.place} is another database. Name the first one."
        )


def _same(source: Source, target: Target, parts: list[Part], tell: Tell) -> dict[str, Digest]:
    """What both hold; empty if they differ."""
    digests = {}
    for part in parts:
        of = source.count(part)
        here = _digest(source.rows(part))
        there = _digest(_told(target.rows(part), tell, "comparing", part.table, of))
        if here.text != there.text or here.rows != there.rows:
            return {}
        digests[part.table] = here
    return digests


def _digest(rows: Iterable[Row]) -> Digest:
    digest = Digest()
    for _ in digest.over(rows):
        pass
    return digest


def _told(rows: Iterable[Row], tell: Tell, doing: Doing, table: str, of: int) -> Iterator[Row]:
    done = 0
    for done, row in enumerate(rows, 1):
        yield row
        if done % _TELL_EVERY == 0:
            tell(doing, table, done, of)
    tell(doing, table, done, of)
