"""`detent webhook …`: where events are sent."""

from typing import Any

import click

from detent.admin.documents import webhook_document
from detent.admin.story import when
from detent.cli.office import Office
from detent.cli.operation import Answer, Failure, facts, operation, table
from detent.core.webhook import Webhook


@click.group()
def webhook() -> None:
    """Where events are sent, signed; docs/webhooks.md says what arrives."""


@webhook.command()
@operation(create=True)
@click.argument("url")
@click.option("--events", multiple=True, required=True, metavar="NAMES", help="Which, with commas between, or `all`.")
async def add(office: Office, url: str, events: tuple[str, ...]) -> Answer:
    """Send events to a URL from now on; the secret that signs them is shown now and never again."""
    names = [name.strip() for each in events for name in each.split(",") if name.strip()]
    return await _with_secret(office, *await office.webhooks.add(url, names))


@webhook.command("list")
@operation()
async def list_(office: Office) -> Answer:
    """List the webhooks: which work, which fail since when, and what they are owed."""
    found = [await _document(office, each) for each in await office.directory.webhooks()]
    header = ("ID", "STATE", "OWED", "DELIVERED", "NEXT TRY", "LAST ERROR", "URL")
    rows = [
        (
            each["id"],
            each["state"],
            each["owed"],
            when(each["delivered_at"]),
            when(each["retry_at"]),
            each["last_error"],
            each["url"],
        )
        for each in found
    ]
    return Answer(found, table(header, rows))


@webhook.command()
@operation()
@click.argument("id")
async def show(office: Office, id: str) -> Answer:
    """Show a webhook."""
    return await _answer(office, await office.webhooks.find(id))


@webhook.command()
@operation()
@click.argument("id")
async def test(office: Office, id: str) -> Answer:
    """Send a test event now, from here; ends with 1 if it is not answered with 2xx."""
    found = await office.webhooks.find(id)
    if error := await office.courier.test(found):
        raise Failure("not_delivered", f"The test event did not arrive: {error}.")
    return Answer({"id": found.id, "delivered": True}, f"{found.id} took the test event.")


@webhook.command()
@operation()
@click.argument("id")
async def enable(office: Office, id: str) -> Answer:
    """Try again at once, after failures or after the endpoint said that it is gone."""
    return await _answer(office, await office.webhooks.enable(id))


@webhook.command("rotate-secret")
@operation()
@click.argument("id")
@click.option("--overlap", type=int, default=0, metavar="SECONDS", help="How long the present secret signs too.")
async def rotate_secret(office: Office, id: str, overlap: int) -> Answer:
    """Give a webhook a new secret; it is shown now and never again."""
    return await _with_secret(office, *await office.webhooks.rotate_secret(id, overlap))


@webhook.command()
@operation()
@click.argument("id")
async def remove(office: Office, id: str) -> Answer:
    """Remove a webhook; what it was owed is not sent."""
    removed = await office.webhooks.remove(id)
    return Answer({"id": removed.id, "removed": True}, f"Removed {removed.id}.")


async def _document(office: Office, found: Webhook) -> dict[str, Any]:
    return webhook_document(found, await office.webhooks.owed(found))


async def _answer(office: Office, found: Webhook) -> Answer:
    document = await _document(office, found)
    return Answer(document, facts(document))


async def _with_secret(office: Office, found: Webhook, secret: str) -> Answer:
    document = {**await _document(office, found), "secret": secret}
    note = "\n\nKeep the secret now: it is not stored, and cannot be shown again."
    return Answer(document, facts(document) + note)
