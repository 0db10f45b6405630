"""`detent registration-token …`: who may register clients without you (docs/registration.md)."""

from typing import Any

import click

from detent.cli.office import Office
from detent.cli.operation import Answer, Failure, facts, operation, table
from detent.client_auth.initial_tokens import Listed
from detent.core.ids import Seconds
from detent.core.policy import DAY


@click.group("registration-token")
def registration_token() -> None:
    """Initial access tokens: who may register clients without you."""


@registration_token.command()
@operation(create=True)
@click.option("--name", default="", help="Whom you give it to.")
@click.option("--uses", type=click.IntRange(0, 100_000), default=1, show_default=True, help="Clients; 0: any number.")
@click.option("--days", type=click.IntRange(0, 3650), default=30, show_default=True, help="Its life; 0: no end.")
async def add(office: Office, name: str, uses: int, days: int) -> Answer:
    """Make a token; it is shown now and never again."""
    listed, token = await office.initial_tokens.add(name, uses=uses or None, life=Seconds(days * DAY) or None)
    document = {**_document(listed), "token": token}
    text = f"{facts(document)}\n\nKeep the token now: it is not stored, and cannot be shown again."
    if office.settings.registration == "off":
        text += "\nThe setting registration is off: nobody can use it until that is `token` or `open`."
    return Answer(document, text)


@registration_token.command("list")
@operation()
async def list_(office: Office) -> Answer:
    """List those that still register."""
    documents = [_document(each) for each in await office.initial_tokens.all()]
    rows = [[facts_of[name] for name in ("id", "name", "left", "expires_at")] for facts_of in documents]
    return Answer(documents, table(("ID", "NAME", "LEFT", "EXPIRES"), rows))


@registration_token.command()
@operation()
@click.argument("id")
async def revoke(office: Office, id: str) -> Answer:
    """Let a token register no more; the clients that it registered stay."""
    if not await office.initial_tokens.revoke(id):
        raise Failure("not_found", f"There is no registration token {id[:100]}. `detent registration-token list`.")
    return Answer({"id": id, "revoked": True}, f"Revoked {id}.")


def _document(listed: Listed) -> dict[str, Any]:
    left = "any" if listed.token.left is None else listed.token.left
    return {"id": listed.id, "name": listed.token.name, "left": left, "expires_at": listed.expires_at}
