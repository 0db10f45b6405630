"""`detent doctor`: what is wrong with this installation, and what to do about each of it."""

import shutil
from collections.abc import AsyncIterator, Callable
from typing import Final

import click
import msgspec

from detent.cli.certificates import certificate_problems, near_its_end
from detent.cli.clock import database_differs, refusal
from detent.cli.mark import REFUSALS, mark_of, read_mark
from detent.cli.office import STORE_FILE, Office
from detent.cli.operation import Answer, operation
from detent.core.api import SIGNING_ALGS
from detent.core.errors import StoreUnavailable
from detent.core.policy import DAY
from detent.core.rollback import compared
from detent.settings.fitness import production_problems
from detent.stores.sqlite.backup import check_copy

_ROOM: Final = 1 << 30  # bytes; less, and a busy night may fill the disk
_OLD_KEY: Final = 365 * DAY


class Finding(msgspec.Struct, frozen=True):
    """`wrong` is empty where all is well, else a sentence with what to do."""

    what: str
    wrong: str = ""


@click.command()
@operation()
async def doctor(office: Office) -> Answer:
    """Say what is wrong with this installation and what to do; ends with 1 if anything is."""
    findings = [finding async for finding in _examined(office)]
    document = [{"what": each.what, "ok": not each.wrong, "advice": each.wrong} for each in findings]
    return Answer(document, "\n".join(map(_told, findings)), good=not any(each.wrong for each in findings))


def _told(finding: Finding) -> str:
    return f"wrong  {finding.what}\n       {finding.wrong}" if finding.wrong else f"fine   {finding.what}"


async def _examined(office: Office) -> AsyncIterator[Finding]:
    settings = office.settings
    wrong = [*production_problems(settings), *certificate_problems(settings)]
    yield Finding("the settings are fit for production", " ".join(map(str, wrong)))
    yield Finding("the store is the one that was served last", await _rolled_back(office))
    if not settings.store:
        yield Finding("the store's file is sound", _refusal(lambda: check_copy(settings.data / STORE_FILE)))
    else:
        yield Finding("the database notices who has hung up", await _hung_up(office))
    yield Finding("there is room on the disk", _room(office))
    latest = (await office.directory.pulse()).latest
    yield Finding("the clock agrees with the database's", await database_differs(office))
    yield Finding("the clock goes on from where the store was served last", refusal(office.clock.now(), latest))
    yield Finding("the signing keys are young enough", _keys(office))
    yield Finding("people's addresses are told apart", _proxies(office))
    if settings.tls_certificate and not wrong:
        yield Finding("the certificate is good for a while yet", near_its_end(settings))


async def _rolled_back(office: Office) -> str:
    try:
        mark = read_mark(office.settings.data)
    except StoreUnavailable as error:
        return str(error)
    return REFUSALS.get(compared(mark, await mark_of(office)), "")


async def _hung_up(office: Office) -> str:
    if await office.directory.notices_who_hangs_up():
        return ""
    return (
        "PostgreSQL keeps the connection of whoever waits for a lock, also once nobody waits for them any more. As its "
        "administrator: ALTER ROLE (detent's) SET client_connection_check_interval = '5s'; then start the servers anew."
    )


def _refusal(work: Callable[[], None]) -> str:
    try:
        work()
    except StoreUnavailable as error:
        return f"{error} Stop the server, and bring back a backup with `detent restore FILE`."
    return ""


def _room(office: Office) -> str:
    free = shutil.disk_usage(office.settings.data).free
    return "" if free >= _ROOM else f"Only {free >> 20} MiB are free in {office.settings.data}. Make room."


def _keys(office: Office) -> str:
    now = office.outside.clock.now()
    current = [
        each.key for each in office.keys.states() if each.state == "current" and each.key.purpose in SIGNING_ALGS
    ]
    old = [key.id for key in current if now - key.created_at > _OLD_KEY]
    return f"{', '.join(old)}: more than a year old. `detent key rotate` makes the next one." if old else ""


def _proxies(office: Office) -> str:
    settings = office.settings
    if not settings.issuer.startswith("https:") or settings.proxies or settings.tls_certificate:
        return ""
    return "proxies is 0, so all people share the address of the proxy. Set proxies to how many of yours there are."
