"""`detent migrate`: the store moves from its SQLite file to PostgreSQL, or back while nobody has used it there.

What moves, and why nothing is lost on the way, is in stores/move.py. The mark goes along: a planned move is no
restore, so the epoch stays and every refresh token with it.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

import click

from detent.cli.identity import KEYS_FOLDER
from detent.cli.mark import REFUSALS, read_mark, served, write_mark
from detent.cli.office import STORE_FILE
from detent.cli.operation import Answer, answered, common_options, no_password_in, settings_from, show
from detent.core.errors import StoreUnavailable
from detent.core.rollback import compared
from detent.settings.declared import Settings
from detent.stores.sqlite.leaving import Source

Tell = Callable[[str, str, int, int], None]
_NEXT: Final = (
    "Nobody was signed out. Next: set `store` to the address for every server (and `store_replicated` where there are "
    "standbys), and start them. Keys did not move: they stay in {keys}, and every server needs them. The file is left "
    "as it is, and is not served any more; as long as no server has started on PostgreSQL, `--undo` takes it back."
)


@click.command()
@common_options
@click.option("--to", "target", required=True, metavar="ADDRESS", help="postgresql://… or key=value, as for `store`.")
@click.option("--undo", is_flag=True, help="Take the store back that nobody has used there.")
def migrate(as_json: bool, data: str | None, config: Path | None, target: str, undo: bool) -> None:
    """Move the store from this data directory into an empty PostgreSQL database. Nobody is signed out.

    Stop the servers first. If it is interrupted, give the same command again.
    """

    def tell(doing: str, table: str, done: int, of: int) -> None:
        told = {"doing": doing, "table": table, "rows": done, "of": of}
        click.echo(json.dumps(told) if as_json else f"{doing} {table}: {done:,} of {of:,}", err=True)

    def work() -> Answer:
        no_password_in("to", target)
        settings = settings_from(config, data=data)
        store = settings.data / STORE_FILE
        if not store.exists():
            raise StoreUnavailable(f"There is no store in {settings.data.absolute()}. Name its directory with --data.")
        with served(settings.data, alone=True):
            return _undone(store, target, tell) if undo else _moved(settings, target, tell)

    show(answered(work, as_json), as_json)


def _moved(settings: Settings, target: str, tell: Tell) -> Answer:
    store = settings.data / STORE_FILE
    _refuse_rolled_back(settings, store)
    opened = _with_driver()
    asyncio.run(opened.prepare(target, replicated=settings.store_replicated))
    moved = opened.move(store, target, tell)
    write_mark(settings.data, moved.mark)
    rows = sum(digest.rows for digest in moved.digests.values())
    document = {
        "to": moved.place,
        "store_id": moved.mark.store_id,
        "tables": {name: {"rows": each.rows, "digest": each.text} for name, each in moved.digests.items()},
    }
    told = f"Moved {rows:,} rows of {len(moved.digests)} tables to {moved.place}, and compared each of them."
    return Answer(document, f"{told}\n{_NEXT.format(keys=settings.data / KEYS_FOLDER)}")


def _undone(store: Path, target: str, tell: Tell) -> Answer:
    _with_driver().take_back(store, target, tell)
    told = f"The store is in {store} again: take the setting `store` out, and start the server."
    text = f"{told} What is in the database is a dead copy: drop it."
    return Answer({"store": str(store)}, text)


def _refuse_rolled_back(settings: Settings, store: Path) -> None:
    """A copy from the past is not made the store by moving it; one that is gone was compared when it left."""
    with Source.opened(store) as source:
        if source.gone() is None and (refusal := REFUSALS.get(compared(read_mark(settings.data), source.mark()))):
            raise StoreUnavailable(refusal)


def _with_driver() -> ModuleType:
    try:
        from detent.stores import move
    except ImportError:
        raise StoreUnavailable("PostgreSQL needs its driver: install detent[postgres].") from None
    return move
