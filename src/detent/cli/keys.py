"""`detent key …`: what signs and seals; never a key itself."""

from typing import Any, get_args

import click

from detent.admin.story import when
from detent.cli.office import Office
from detent.cli.operation import Answer, operation, table
from detent.core.api import SigningAlg
from detent.keys.ring import SECRET_PURPOSES, KeyState, Purpose


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
@click.option("--alg", type=click.Choice(get_args(SigningAlg)), help="The key that signs with this algorithm (RS256).")
@click.option("--handle", is_flag=True, help="The key that seals refresh tokens and codes.")
@click.option("--pepper", is_flag=True, help="The key of the hashes of client secrets.")
@click.option("--audit", is_flag=True, help="The key of the audit log's chain and of the webhooks' secrets.")
@click.option("--now", "at_once", is_flag=True, help="After a theft: drop every key of this purpose, and all it made.")
async def rotate(office: Office, alg: SigningAlg | None, at_once: bool, **secrets: bool) -> Answer:
    """Let the next key take over. The old one goes on verifying what it made, unless --now is given."""
    named: list[Purpose] = [purpose for purpose in SECRET_PURPOSES if secrets[purpose]]
    if len(named) + (alg is not None) > 1:
        raise click.UsageError("Name one of --alg, --handle, --pepper and --audit.")
    purpose = named[0] if named else alg or "RS256"
    new = office.keys.rotate(purpose, at_once=at_once)
    text = f"Key {new.id} takes over for {purpose} at {when(new.use_from)}."
    return Answer({"id": new.id, "purpose": purpose, "use_from": new.use_from, "at_once": at_once}, text)


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
