"""`detent key …`: what signs and seals; never a key itself. `new-kek` prints what wraps keys, and keeps nothing."""

import asyncio
from pathlib import Path
from typing import Any

import click

from detent.admin.story import when
from detent.cli.choices import ID_COMMAND
from detent.cli.identity import bring_in, note_keys
from detent.cli.office import Office, opened_store
from detent.cli.operation import Answer, Failure, answered, common_options, operation, settings_from, show, table
from detent.core.api import SIGNING_ALGS, SigningAlg
from detent.core.encryption import OWN_ALGS, OwnAlg
from detent.keys.database import DatabaseKeys
from detent.keys.kek import new_kek
from detent.keys.ring import SECRET_PURPOSES, KeyState, Purpose
from detent.system import SystemClock


@click.group()
def key() -> None:
    """The keys that sign and seal."""


@key.command("list")
@operation()
async def list_(office: Office) -> Answer:
    """List the keys: which is used now, which comes next, and when a retired one is dropped."""
    found = office.keys.states()
    rows = [(each.key.id, each.key.purpose, each.state, when(each.key.use_from), when(each.drop_at)) for each in found]
    return Answer([_document(each) for each in found], table(("ID", "PURPOSE", "STATE", "USED FROM", "DROPPED"), rows))


@key.command()
@operation()
@click.option("--alg", type=click.Choice((*SIGNING_ALGS, *OWN_ALGS)), help="The pair of this algorithm (RS256).")
@click.option("--handle", is_flag=True, help="The key that seals refresh tokens and codes.")
@click.option("--pepper", is_flag=True, help="The key of the hashes of client secrets.")
@click.option("--audit", is_flag=True, help="The key of the audit log's chain and of the webhooks' secrets.")
@click.option("--now", "at_once", is_flag=True, help="After a theft: drop every key of this purpose, and all it made.")
async def rotate(office: Office, alg: SigningAlg | OwnAlg | None, at_once: bool, **secrets: bool) -> Answer:
    """Let the next key take over. The old one goes on verifying what it made, unless --now is given."""
    named: list[Purpose] = [purpose for purpose in SECRET_PURPOSES if secrets[purpose]]
    if len(named) + (alg is not None) > 1:
        raise click.UsageError("Name one of --alg, --handle, --pepper and --audit.")
    purpose = named[0] if named else alg or "RS256"
    new = await office.keys.rotate(purpose, at_once=at_once)
    await note_keys(office.settings, office.outside.store, rotated=True)
    text = f"Key {new.id} takes over for {purpose} at {when(new.use_from)}."
    return Answer({"id": new.id, "purpose": purpose, "use_from": new.use_from, "at_once": at_once}, text)


@key.command(**ID_COMMAND)
@operation()
@click.argument("kid")
async def revoke(office: Office, kid: str) -> Answer:
    """Drop one signing key at once: it signs and is published no more, and what it signed is refused.

    If it is the one that signs, the one after it takes over. After a theft of more than this key: rotate --now.
    """
    signs = await office.keys.revoke(kid)
    await note_keys(office.settings, office.outside.store, rotated=True)
    text = f"Key {kid} is dropped; {signs.purpose} is signed by {signs.id}."
    return Answer({"id": kid, "purpose": signs.purpose, "signs": signs.id}, text)


@key.command("new-kek")
@common_options
def new_kek_(as_json: bool, data: str | None, config: Path | None) -> None:
    """Print a new key-encryption key: a line for the file that key_encryption_key names."""

    def work() -> Answer:
        line = new_kek()
        return Answer({"kek": line, "file": str(settings_from(config, data=data).key_encryption_key)}, line)

    show(answered(work, as_json), as_json)


@key.command("import")
@common_options
def import_(as_json: bool, data: str | None, config: Path | None) -> None:
    """Bring the keys of the data directory into the store, wrapped; every token stays good.

    Then start every node with keys = "store".
    """

    async def work() -> Answer:
        settings = settings_from(config, data=data)
        store = await opened_store(settings)
        try:
            count = await bring_in(settings, store, SystemClock())
        finally:
            await store.close()
        text = f'{count} keys are in the store. Start every node with keys = "store", then remove {settings.data}/keys.'
        return Answer({"keys": count}, text)

    show(answered(lambda: asyncio.run(work()), as_json), as_json)


@key.command()
@operation()
async def rewrap(office: Office) -> Answer:
    """Wrap every key in the store under the first line of the key-encryption key's file; it can be begun again."""
    if not isinstance(office.keys, DatabaseKeys):
        raise Failure("not_here", "The keys are in a directory, where nothing wraps them.")
    count = await office.keys.rewrap()
    text = f"{count} keys were under another key-encryption key. Now the other lines can go from the file, everywhere."
    return Answer({"rewrapped": count}, text)


def _document(state: KeyState) -> dict[str, Any]:
    known = state.key
    return {
        "id": known.id,
        "purpose": known.purpose,
        "state": state.state,
        "created_at": known.created_at,
        "use_from": known.use_from,
        "drop_at": state.drop_at,
    }
