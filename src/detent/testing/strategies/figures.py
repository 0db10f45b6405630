"""The tables of docs/strategies.md, measured: one function for each, and the way to put them into the page.

A table stands in the page between `<!-- NAME -->` and `<!-- end -->`, where NAME is a key of `TABLES`. Whoever is
robbed has every situation to himself: a person of its own, signed in for it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from detent.testing.strategies.site import CHOICES, MINUTE, Choice, Device, Site, opened

ROUNDS: Final = 10
AFTER_EVERY_OVERLAP: Final = 2 * MINUTE
Measure = Callable[[Site, Choice], Awaitable[str]]


# What a refresh costs


async def cost(site: Site, choice: Choice) -> list[str]:
    """Statements, commits, bytes and rows of one refresh, the mean of some."""
    device = await site.sign_in(choice)
    await device.refresh()  # what the house remembers of client and API has been read
    before, rows = site.statements(), site.rows()
    for _ in range(ROUNDS):
        site.clock.advance(AFTER_EVERY_OVERLAP)
        if not await device.refresh():
            raise RuntimeError(f"{choice.name} refuses an honest refresh")
    after = site.statements()
    each = [(getattr(after, name) - getattr(before, name)) / ROUNDS for name in after.__struct_fields__]
    return [*(f"{figure:g}" for figure in each), str(len(device.refresh_token)), f"{(site.rows() - rows) / ROUNDS:g}"]


# How long an end takes to hold


async def _seconds_until_refused(site: Site, device: Device) -> str:
    """Presented every minute until it is refused."""
    for seconds in range(0, 2 * 60 * MINUTE, MINUTE):
        if not await device.copied().refresh():
            return f"{seconds} s"
        site.clock.advance(MINUTE)
    return "longer than 2 h"


async def logout(site: Site, choice: Choice) -> str:
    device = await site.sign_in(choice)
    await device.sign_out()
    return await _seconds_until_refused(site, device)


async def password_reset(site: Site, choice: Choice) -> str:
    device = await site.sign_in(choice)
    await site.reset_password_of(device.username)
    return await _seconds_until_refused(site, device)


async def everybody_is_cut_off(site: Site, choice: Choice) -> str:
    device = await site.sign_in(choice)
    await site.cut_everybody_off()
    return await _seconds_until_refused(site, device)


# What a thief can do


async def _after(site: Site, first: Device, second: Device) -> tuple[bool, bool]:
    """Whether each is still served after both have refreshed in this order."""
    for device in (first, second):
        site.clock.advance(AFTER_EVERY_OVERLAP)
        await device.refresh()
    site.clock.advance(AFTER_EVERY_OVERLAP)
    return await first.refresh(), await second.refresh()


async def thief_comes_first(site: Site, choice: Choice) -> str:
    owner = await site.sign_in(choice)
    thief_stays, owner_stays = await _after(site, owner.copied(), owner)
    return _told(thief_stays, owner_stays)


async def owner_comes_first(site: Site, choice: Choice) -> str:
    owner = await site.sign_in(choice)
    thief = owner.copied()
    owner_stays, thief_stays = await _after(site, owner, thief)
    return _told(thief_stays, owner_stays)


def _told(thief_stays: bool, owner_stays: bool) -> str:
    match thief_stays, owner_stays:
        case True, True:
            return "both stay"
        case True, False:
            return "the thief stays, the owner is out"
        case False, True:
            return "the thief is out"
        case _:
            return "both are out"


# What breaks for honest people


async def a_second_device(site: Site, choice: Choice) -> str:
    return await _second_sign_in(site, choice, apart=MINUTE)


async def two_sign_ins_in_one_second(site: Site, choice: Choice) -> str:
    return await _second_sign_in(site, choice, apart=0)


async def _second_sign_in(site: Site, choice: Choice, apart: int) -> str:
    first = await site.sign_in(choice)
    site.clock.advance(apart)
    second = await site.sign_in(choice, first.username)
    if not await second.refresh():
        return "the new one is signed out"
    return _well(await first.refresh(), "the old one is signed out")


async def a_lost_answer(site: Site, choice: Choice) -> str:
    device = await site.sign_in(choice)
    await device.refresh(loses_answer=True)
    site.clock.advance(10)
    return _well(await device.refresh(), "signed out")


async def two_tabs(site: Site, choice: Choice) -> str:
    device = await site.sign_in(choice)
    tabs = [device, device.copied()]
    served = await asyncio.gather(*(tab.refresh() for tab in tabs))
    return _well(all(served), "one of them is refused")


async def used_for_an_hour(site: Site, choice: Choice) -> str:
    device = await site.sign_in(choice)
    served = []
    for _ in range(7):
        site.clock.advance(10 * MINUTE)
        served.append(await device.refresh())
    return _well(all(served), "signed out")


def _well(served: bool, otherwise: str) -> str:
    return "fine" if served else otherwise


# The tables


COSTS: Final = (
    "reads", "updates and deletes", "inserts", "commits", "characters of a refresh token", "rows that stay behind",
)  # fmt: skip
SITUATIONS: Final[Mapping[str, Mapping[str, Measure]]] = {
    "revocation": {
        "the app signs out": logout,
        "the password is reset": password_reset,
        "everybody is cut off": everybody_is_cut_off,
    },
    "thief": {"the thief refreshes first": thief_comes_first, "the owner refreshes first": owner_comes_first},
    "honest": {
        "a second device": a_second_device,
        "two sign-ins in one second": two_sign_ins_in_one_second,
        "an answer is lost, and asked for again": a_lost_answer,
        "two tabs refresh at once": two_tabs,
        "an hour and more of use": used_for_an_hour,
    },
}


def tables() -> dict[str, str]:
    """Every table, measured now."""
    return asyncio.run(_measured())


async def _measured() -> dict[str, str]:
    async with opened() as site:
        measured = {"cost": _table(COSTS, {choice.name: await cost(site, choice) for choice in CHOICES})}
        for name, situations in SITUATIONS.items():
            lines = {
                choice.name: [await measure(site, choice) for measure in situations.values()] for choice in CHOICES
            }
            measured[name] = _table(situations, lines)
        return measured


def with_figures(page: str, measured: Mapping[str, str]) -> str:
    """The page with these tables in their places."""
    for name, table in measured.items():
        page = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\g<1>{table}\n\g<2>", page, flags=re.DOTALL)
    return page


def _table(columns: Iterable[str], lines: Mapping[str, list[str]]) -> str:
    head = ["strategy", *columns]
    return "\n".join(
        f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *([n, *c] for n, c in lines.items())]
    )
