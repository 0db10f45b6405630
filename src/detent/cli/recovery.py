"""`detent backup`, `detent restore`, `detent adopt`: copies of the store, the announced way back, and other keys."""

import asyncio
from pathlib import Path
from typing import Any

import click

from detent.cli.identity import adopt as adopted
from detent.cli.mark import mark_of, read_mark, served, write_mark
from detent.cli.office import STORE_FILE, opened
from detent.cli.operation import Answer, Failure, answered, common_options, settings_from, show
from detent.core.changes import Beat, Restored, changed
from detent.core.errors import StoreUnavailable
from detent.core.rollback import Mark
from detent.settings.declared import Settings
from detent.stores.sqlite.backup import back_up, put_in_place
from detent.stores.sqlite.leaving import take_for_home

_BY_ITS_OWN_TOOLS = (
    "The store is in PostgreSQL: copy and restore it with its own tools (pg_basebackup, a WAL archive), and after a "
    "restore run `detent restore` without a file."
)


@click.command()
@common_options
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(as_json: bool, data: str | None, config: Path | None, file: Path) -> None:
    """Copy the store into FILE while it is served. Keys are not in it: copy `keys/` to another place."""

    def work() -> Answer:
        settings = settings_from(config, data=data)
        if settings.store:
            raise Failure("not_here", _BY_ITS_OWN_TOOLS)
        if not (settings.data / STORE_FILE).exists():
            raise StoreUnavailable(f"There is no store in {settings.data.absolute()}.")
        back_up(settings.data / STORE_FILE, file)
        size = file.stat().st_size
        return Answer(
            {"file": str(file), "bytes": size}, f"{file}: a sound copy of {size:,} bytes. Keys are not in it."
        )

    show(answered(work, as_json), as_json)


@click.command()
@common_options
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
def restore(as_json: bool, data: str | None, config: Path | None, file: Path | None) -> None:
    """Put FILE in the store's place, or, without one, take the store as it is now for the restored one.

    Everybody is signed out, and refresh tokens mean what `store_behind` says: by default people sign in again.
    """

    def work() -> Answer:
        settings = settings_from(config, data=data)
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file and settings.store:
            raise Failure("not_here", _BY_ITS_OWN_TOOLS)
        with served(settings.data, alone=True):
            aside = put_in_place(file, settings.data / STORE_FILE) if file else None
            if not settings.store:
                take_for_home(settings.data / STORE_FILE)
            return asyncio.run(_restored(settings, aside))

    show(answered(work, as_json), as_json)


async def _restored(settings: Settings, aside: Path | None) -> Answer:
    async with opened(settings) as office:
        mark = _last_mark(settings.data)
        found = await mark_of(office)
        epoch = max(found.restore_epoch, mark.restore_epoch if mark else 0) + 1
        await office.outside.store.apply(changed(Restored(epoch), Beat(office.clock.now())))
        write_mark(settings.data, await mark_of(office))
    document: dict[str, Any] = {
        "store_id": found.store_id,
        "restore_epoch": epoch,
        "store_behind": settings.store_behind,
        "moved_aside": str(aside) if aside else None,
    }
    told = {
        "refuse": "Refresh tokens of before are refused: apps ask people to sign in again.",
        "advance": "Refresh tokens of before are taken as they come; what was revoked since the copy is good again.",
    }[settings.store_behind]
    where = f" What was there is in {aside}." if aside else ""
    return Answer(document, f"Restored, epoch {epoch}. Everybody is signed out. {told}{where}")


@click.command()
@common_options
def adopt(as_json: bool, data: str | None, config: Path | None) -> None:
    """Say that this issuer and these keys are the installation's from now on.

    For keys that are lost, and for an issuer that moves: what others signed or sealed is void.
    """

    async def work() -> Answer:
        settings = settings_from(config, data=data)
        async with opened(settings, adopting=True) as office:
            identity = await adopted(settings, office.outside.store)
        text = f"The issuer is {identity.issuer or 'whoever serves next'}, the keys: {identity.keys}."
        return Answer({"issuer": identity.issuer, "keys": identity.keys}, text)

    show(answered(lambda: asyncio.run(work()), as_json), as_json)


def _last_mark(data: Path) -> Mark | None:
    try:
        return read_mark(data)
    except StoreUnavailable:  # damaged: this is the way out
        return None
