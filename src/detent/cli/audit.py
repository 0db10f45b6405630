"""`detent audit …`: what happened, and whether the log that says so is whole."""

import json
from typing import Any

import click
import msgspec

from detent.admin.story import when
from detent.audit.prune import prune as pruned
from detent.audit.verify import Head, Report
from detent.audit.verify import verify as verified
from detent.cli.choices import together
from detent.cli.office import Office
from detent.cli.operation import Answer, facts, operation, table
from detent.core.audit import AuditRow
from detent.core.ids import Instant
from detent.core.policy import DAY

after_option = click.option(
    "--after", type=click.IntRange(0), default=0, metavar="SEQ", help="Go on after the event of this number."
)
limit_option = click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many."
)
_PORTION = 500


@click.group()
def audit() -> None:
    """The audit log: append-only, chained, committed with what it tells of."""


@audit.command("list")
@operation()
@together(after_option, limit_option)
async def list_(office: Office, after: int, limit: int) -> Answer:
    """List events, the oldest first."""
    found = [_document(row) for row in await office.directory.audit_rows(after=after, limit=limit)]
    rows = [
        (each["seq"], when(Instant(each["at"])), each["name"], each.get("about", ""), each.get("client_id", ""))
        for each in found
    ]
    return Answer(found, table(("SEQ", "AT", "EVENT", "ABOUT", "CLIENT"), rows))


@audit.command()
@operation()
@after_option
async def export(office: Office, after: int) -> Answer | None:
    """Print every event as one line of JSON, and go on with --after the last `seq` that you have."""
    while rows := await office.directory.audit_rows(after=after, limit=_PORTION):
        for row in rows:
            click.echo(json.dumps(_document(row)))
        after = rows[-1].seq
    return None


@audit.command()
@operation()
@click.option("--keep-days", type=click.IntRange(1, 36_500), required=True, help="What is younger stays.")
async def prune(office: Office, keep_days: int) -> Answer:
    """Let go of old events, by whole links; what stays can still be verified."""
    outside = office.outside
    before = Instant(outside.clock.now() - keep_days * DAY)
    gone = await pruned(outside.store, office.directory, outside.keys, outside.clock, before)
    return Answer({"pruned": gone}, f"Pruned {gone} events.")


@audit.command()
@operation()
@click.option("--head", "noted", metavar="NUMBER:HASH", help="A head that you noted elsewhere: was it cut since?")
async def verify(office: Office, noted: str | None) -> Answer:
    """Check that no event was edited, removed or slipped in; ends with 1 if one was."""
    head = Head.parse(noted) if noted is not None else None
    if noted is not None and head is None:
        raise click.UsageError("--head is what this command printed as `head`: a number, a colon, 64 hex digits.")
    report = await verified(office.directory, office.outside.keys, head)
    return Answer(_told(report), _text(report), report.whole)


def _told(report: Report) -> dict[str, Any]:
    return {
        "whole": report.whole,
        "links": report.links,
        "events": report.events,
        "unlinked": report.unlinked,
        "head": report.head.text if report.head else None,
        "findings": [msgspec.structs.asdict(each) for each in report.findings],
    }


def _text(report: Report) -> str:
    told = {name: value for name, value in _told(report).items() if name != "findings"}
    lines = [facts(told), *(each.sentence for each in report.findings)]
    return "\n".join(lines)


def _document(row: AuditRow) -> dict[str, Any]:
    """An event that cannot be read any more is shown as it is stored."""
    try:
        body = msgspec.json.decode(row.body, type=dict[str, Any])
    except msgspec.MsgspecError:
        body = {"at": row.at, "name": row.name, "about": row.about, "unreadable": row.body}
    return {"seq": row.seq, **body}
