"""`detent family …`: who holds refresh tokens, why one was refused, and ending them."""

import sys
from typing import TextIO

import click
import msgspec

from detent.admin.documents import family_document
from detent.admin.errors import NotFound
from detent.admin.story import when
from detent.cli.choices import ID_COMMAND, paging
from detent.cli.office import Office
from detent.cli.operation import Answer, facts, operation, table, visible
from detent.core.family import Family
from detent.core.ids import ClientId, Subject


@click.group()
def family() -> None:
    """Sign-ins and their refresh tokens."""


@family.command("list")
@operation()
@click.option("--user", "username", metavar="NAME", help="Those of this person.")
@click.option("--client", "client_id", metavar="ID", help="Those at this client.")
@paging("family's id")
async def list_(office: Office, username: str | None, client_id: str | None, after: str, limit: int) -> Answer:
    """List families, living and ended, in the order in which they end at the latest."""
    subject = await _subject(office, username) if username is not None else None
    found = await office.directory.families(
        subject=subject, client_id=ClientId(client_id) if client_id else None, after=after, limit=limit
    )
    rows = [
        (each.key.text, each.authorization.client_id, _status(each), each.generation, when(each.last_used_at))
        for each in found
    ]
    header = ("ID", "CLIENT", "STATUS", "GENERATION", "LAST USED")
    return Answer([family_document(each) for each in found], table(header, rows))


@family.command(**ID_COMMAND)
@operation()
@click.argument("id")
async def show(office: Office, id: str) -> Answer:
    """Show a family as it is stored."""
    return _answer((await office.families.find(id)).family)


@family.command(**ID_COMMAND)
@operation()
@click.argument("what")
@click.option("--log", type=click.File(errors="replace"), metavar="FILE", help="The server's log, for a support id.")
async def explain(office: Office, what: str, log: TextIO | None) -> Answer:
    """Tell the story of a family: why somebody was signed out, or until when it lives, and what to do next.

    WHAT is its id, a refresh or access token of it (even an expired one), or the support id of an answer. With `-` it
    is read from stdin, which keeps a token out of the list of processes.
    """
    story = await office.families.explain(sys.stdin.readline().strip() if what == "-" else what, log or ())
    document = {
        "family": family_document(story.family) if story.family else None,
        "generation_presented": story.generation_presented,
        "end": msgspec.structs.asdict(story.end) if story.end else None,
        "told": story.sentences,
    }
    return Answer(document, "\n".join(map(visible, story.sentences)))


@family.command(**ID_COMMAND)
@operation()
@click.argument("id", required=False)
@click.option("--client", "client_id", metavar="ID", help="All that this client was ever issued.")
@click.option("--all", "everything", is_flag=True, help="All that anybody was ever issued, sessions too.")
async def revoke(office: Office, id: str | None, client_id: str | None, everything: bool) -> Answer:
    """End a family at once, with its access tokens; or all of a client, or all there are, in one write.

    All of a person: `detent user sign-out`. Every server of this installation sees it within a second.
    """
    if [id is not None, client_id is not None, everything].count(True) != 1:
        raise click.UsageError("Say one of: the id of a family, --client ID, --all.")
    if id is not None:
        return _answer(await office.families.end(id))
    if client_id is not None:
        client = await office.registrations.cut_off_client(client_id)
        return Answer({"client_id": client.client_id, "cut_off": True}, f"Cut off all of {client.client_id}.")
    await office.families.end_all()
    return Answer({"cut_off": True}, "Cut off everything that was issued to anybody.")


async def _subject(office: Office, username: str) -> Subject:
    user = await office.directory.user_by_name(username)
    if user is None:
        raise NotFound(f"There is no user {username[:128]}. `detent user list` shows those there are.")
    return user.subject


def _status(family: Family) -> str:
    return "suspected" if family.suspected and family.status == "live" else family.status


def _answer(family: Family) -> Answer:
    document = family_document(family)
    shown = {name: value for name, value in document.items() if name != "history"}
    return Answer(document, facts(shown))
