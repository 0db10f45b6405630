"""Every cell of the table in docs/family.md. Why its rows are as they are says test_family_rows.py.

`TABLE` below is the page's table written down a second time, row by row, as (which cells, what then); the first row
that fits a cell wins. Each cell is asked of `decide`, and the decision and every column of the family are compared.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

import msgspec
import pytest

from detent.core.authorization import Authorization, Epochs
from detent.core.confirmation import Confirmation
from detent.core.events import Event, EventName
from detent.core.family import (
    Ahead,
    Decision,
    Family,
    Keep,
    Origin,
    Presented,
    Refuse,
    Repeat,
    Reuse,
    Rotate,
    Status,
    Supersede,
    Surroundings,
    decide,
)
from detent.core.ids import ClientId, FamilyKey, Instant, Seconds, Subject
from detent.core.policy import OnReuse, RefreshPolicy

pytestmark = pytest.mark.quick

NOW = Instant(1_800_000_000)
OVERLAP, IDLE = 60, 1_000
ABSOLUTE = Instant(NOW + 5_000)
HEAD, PARENT = 11, 6
REFRESHES = 9
ROW_EPOCH, OLD_HANDLE_KEY, NEW_HANDLE_KEY = 4, 1, 2
KEY, OTHER_KEY = b"the key of the redemption", b"another key"
HERE, ALIKE, UNLIKE = Origin(b"agent", "192.0.2.0"), Origin(b"agent", "198.51.100.0"), Origin(b"other", "203.0.113.0")
AUTHORIZATION = Authorization(
    ClientId("app"), Subject("alice"), ("read",), ("https://api.example/",), Instant(0), Instant(0),
    epochs=Epochs(1, 1, 1),
)  # fmt: skip
BOUND = msgspec.structs.replace(AUTHORIZATION, cnf=Confirmation(jkt="thumbprint"))
FAMILY_KEY = FamilyKey(7, bytes(16))
HISTORY = (Event("family_created", Instant(1)),)

Over = Literal["", "idle", "absolute", "cut off: user", "cut off: client", "cut off: server"]
Place = Literal[
    "head", "the successor before", "the fifth last successor",
    "parent", "parent of an older epoch", "older", "its number when there is no parent", "later",
    "older epoch, number of the head", "older epoch, number of the parent", "older epoch, later number",
    "newer epoch, later number", "newer epoch, number of the head", "newer epoch, lower number",
]  # fmt: skip
HANDLES: dict[Place, tuple[int, int]] = {
    "head": (HEAD, ROW_EPOCH),
    "the successor before": (HEAD - 1, ROW_EPOCH),
    "the fifth last successor": (HEAD - 4, ROW_EPOCH),
    "parent": (PARENT, ROW_EPOCH),
    "parent of an older epoch": (PARENT, ROW_EPOCH - 1),
    "older": (PARENT - 1, ROW_EPOCH),
    "its number when there is no parent": (PARENT, ROW_EPOCH),
    "later": (HEAD + 2, ROW_EPOCH),
    "older epoch, number of the head": (HEAD, ROW_EPOCH - 1),
    "older epoch, number of the parent": (PARENT, ROW_EPOCH - 1),
    "older epoch, later number": (HEAD + 2, ROW_EPOCH - 1),
    "newer epoch, later number": (HEAD + 2, ROW_EPOCH + 1),
    "newer epoch, number of the head": (HEAD, ROW_EPOCH + 1),
    "newer epoch, lower number": (PARENT, ROW_EPOCH + 1),
}


class Cell(NamedTuple):
    """One combination. `key`: what is presented against the row's; `moved`: since the last restore."""

    status: Status = "live"
    over: Over = ""
    place: Place = "head"
    moved: bool = True
    rotating: bool = True
    age: int = OVERLAP + 1
    alike: bool = True
    key: Literal["none", "equal", "other", "neither has one"] = "none"
    overlap: int = OVERLAP
    tolerated: int = 0
    repeated: int = 0
    on_reuse: OnReuse = "revoke"
    suspected: bool = False
    ahead: Ahead = "refuse"

    @property
    def young(self) -> bool:
        return self.overlap > 0 and self.age <= self.overlap

    @property
    def waits(self) -> bool:
        """The head, or one of the four latest successors that the parent got since it got an access token only."""
        return self.place == "head" or (self.place == "the successor before" and self.repeated >= 4)

    @property
    def is_parent(self) -> bool:
        return self.place in ("parent", "parent of an older epoch")

    @property
    def is_ahead(self) -> bool:
        if self.place == "later" or self.place.startswith("newer epoch"):
            return True
        return not self.moved and (self.waits or (self.is_parent and self.ahead == "refuse"))


class Then(NamedTuple):
    """A decision and the columns that it changes; no columns: nothing is written."""

    decision: type[Decision]
    columns: Mapping[str, Any] = MappingProxyType({})
    reason: Any = ""
    bare: bool = False


def family_of(cell: Cell) -> Family:
    return Family(
        FAMILY_KEY,
        AUTHORIZATION if cell.rotating else BOUND,
        absolute_until=NOW if cell.over == "absolute" else ABSOLUTE,
        version=40,
        status=cell.status,
        suspected=cell.suspected,
        generation=HEAD,
        epoch=ROW_EPOCH,
        parent=None if cell.place == "its number when there is no parent" else PARENT,
        parent_epoch=ROW_EPOCH - (cell.place == "parent of an older epoch"),
        handle_key=OLD_HANDLE_KEY,
        rotated_at=Instant(NOW - cell.age),
        idle_until=NOW if cell.over == "idle" else Instant(NOW + 1),
        retry_key=None if cell.key == "neither has one" else KEY,
        tolerated=cell.tolerated,
        repeated=cell.repeated,
        refreshes=REFRESHES,
        origin=HERE,
        last_used_at=Instant(NOW - cell.age),
        history=HISTORY,
        seed=b"seed",
    )


def presented_in(cell: Cell) -> Presented:
    generation, epoch = HANDLES[cell.place]
    retry_key = {"none": None, "equal": KEY, "other": OTHER_KEY, "neither has one": None}[cell.key]
    return Presented(generation, epoch, retry_key, ALIKE if cell.alike else UNLIKE)


def policy_of(cell: Cell) -> RefreshPolicy:
    return RefreshPolicy("unbound", Seconds(cell.overlap), cell.on_reuse, Seconds(100), Seconds(IDLE), Seconds(5_000))


def around(cell: Cell) -> Surroundings:
    cut_off = {"cut off: user": Epochs(2, 1, 1), "cut off: client": Epochs(1, 2, 1), "cut off: server": Epochs(1, 1, 2)}
    restored = 0 if cell.moved else 1
    return Surroundings(cut_off.get(cell.over, Epochs(1, 1, 1)), ROW_EPOCH + restored, NEW_HANDLE_KEY, cell.ahead)


def decided(cell: Cell) -> Decision:
    return decide(family_of(cell), presented_in(cell), policy_of(cell), around(cell), NOW)


# The table, a second time.


def refuse(cell: Cell) -> Then:
    if cell.status != "live":
        return Then(Refuse, reason=cell.status)
    return Then(Refuse, reason="cut_off" if cell.over.startswith("cut off") else cell.over)


def ahead(cell: Cell) -> Then:
    generation, epoch = HANDLES[cell.place]
    if cell.ahead == "refuse" or generation < HEAD:
        return Then(Refuse, reason="store_behind")
    columns = {
        **served(cell),
        **idle_moves(cell),
        "parent": generation,
        "parent_epoch": epoch,
        "generation": generation,
        "history": noted(cell, "store_behind"),
    }
    if not cell.rotating:
        return Then(Keep, {**columns, **present_epoch(cell)})
    return Then(Rotate, {**rotate(cell).columns, **columns, "generation": generation + 1})


def keep(cell: Cell) -> Then:
    if cell.rotating:
        return Then(Keep)
    return Then(Keep, {**served(cell), **idle_moves(cell), "parent": None})


def rotate(cell: Cell) -> Then:
    columns = {
        **served(cell),
        **idle_moves(cell),
        **present_epoch(cell),
        "parent": presented_in(cell).generation,
        "parent_epoch": ROW_EPOCH,
        "generation": HEAD + 1,
        "rotated_at": NOW,
        "retry_key": OTHER_KEY if cell.key == "other" else None,
        "tolerated": cell.tolerated if cell.repeated else 0,
        "repeated": 0,
    }
    return Then(Rotate, columns)


def repeat(cell: Cell) -> Then:
    tolerated = cell.tolerated if cell.repeated else cell.tolerated + 1
    bare = cell.rotating and cell.key != "equal" and tolerated >= 4
    repeated = max(cell.repeated, 2 if bare else 1)
    if repeated == cell.repeated:
        return Then(Repeat, bare=bare)
    history = {} if cell.repeated else {"history": noted(cell, "replay_tolerated")}
    return Then(Repeat, {"tolerated": tolerated, "repeated": repeated, **history}, bare=bare)


def supersede(cell: Cell) -> Then:
    columns = {
        **served(cell),
        **present_epoch(cell),
        "generation": HEAD + 1,
        "retry_key": None,
        "tolerated": cell.tolerated if cell.repeated else cell.tolerated + 1,
        "repeated": min(cell.repeated + 1, 6) if cell.repeated >= 2 else 0,
        "history": noted(cell, "superseded", generation=HEAD + 1),
    }
    return Then(Supersede, columns if cell.repeated >= 2 else {**columns, "rotated_at": NOW})


def reuse(cell: Cell) -> Then:
    if not cell.rotating:
        return Then(Reuse, reason="reuse_not_rotating")
    if cell.on_reuse == "revoke":
        ended = {"status": "compromised", "ended_by": "reuse", "history": noted(cell, "reuse_detected")}
        return Then(Reuse, ended, "reuse")
    marked = {} if cell.suspected else {"suspected": True, "history": noted(cell, "suspected")}
    return Then(Reuse, marked, "reuse")


def served(cell: Cell) -> dict[str, Any]:
    return {"refreshes": REFRESHES + 1, "last_used_at": NOW, "origin": presented_in(cell).origin}


def present_epoch(cell: Cell) -> dict[str, Any]:
    return {"epoch": around(cell).store_epoch, "handle_key": NEW_HANDLE_KEY}


def idle_moves(cell: Cell) -> dict[str, Any]:
    return {} if cell.suspected else {"idle_until": NOW + IDLE}


def noted(cell: Cell, name: EventName, generation: int = HEAD) -> tuple[Event, ...]:
    presented = presented_in(cell)
    event = Event(
        name, NOW, FAMILY_KEY.text, "app", "alice", generation, presented.generation,
        network=presented.origin.network, agent=presented.origin.agent.hex(), refreshes=REFRESHES,
    )  # fmt: skip
    return (*HISTORY, event)


TABLE: tuple[tuple[int, Callable[[Cell], bool], Callable[[Cell], Then]], ...] = (
    (1, lambda cell: cell.status != "live" or cell.over != "", refuse),
    (2, lambda cell: cell.is_ahead, ahead),
    (3, lambda cell: cell.waits and (not cell.rotating or cell.young), keep),
    (4, lambda cell: cell.waits, rotate),
    (5, lambda c: c.is_parent and (c.key == "equal" or (c.young and c.alike) or not c.rotating), repeat),
    (6, lambda cell: cell.is_parent and cell.overlap > 0, supersede),
    (7, lambda cell: True, reuse),
)


def row_of(cell: Cell) -> tuple[int, Then]:
    return next((number, then(cell)) for number, fits, then in TABLE if fits(cell))


def check(cell: Cell) -> int:
    """Ask `decide` about this cell and compare everything with the table; returns the number of its row."""
    before = family_of(cell)
    number, then = row_of(cell)
    after = msgspec.structs.replace(before, version=before.version + 1, **then.columns) if then.columns else None
    expected: Decision
    match then.decision.__name__:
        case "Refuse":
            expected = Refuse(then.reason)
        case "Reuse":
            expected = Reuse(then.reason, after)
        case "Keep":
            again = msgspec.structs.replace(before, generation=presented_in(cell).generation)
            expected = Keep(after, after or again)
        case "Repeat":
            expected = Repeat(after, after or before, then.bare)
        case _:
            assert after
            expected = Rotate(after) if then.decision is Rotate else Supersede(after)
    assert decide(before, presented_in(cell), policy_of(cell), around(cell), NOW) == expected, f"row {number}: {cell}"
    return number


LIVE: dict[str, tuple[Any, ...]] = {
    "place": get_args(Place),
    "moved": (True, False),
    "rotating": (True, False),
    "age": (OVERLAP, OVERLAP + 1),
    "alike": (True, False),
    "key": ("none", "equal", "other", "neither has one"),
    "overlap": (0, OVERLAP),
    "tolerated": (0, 1, 2, 3, 4),
    "repeated": (0, 1, 2, 6),
    "on_reuse": ("revoke", "suspect"),
    "suspected": (False, True),
    "ahead": ("refuse", "advance"),
}
FEWER: dict[str, tuple[Any, ...]] = {
    **LIVE, "alike": (True,), "key": ("none", "equal"), "tolerated": (0,), "repeated": (0,), "suspected": (False,),
}  # fmt: skip
ENDS = [(status, over) for status in get_args(Status) for over in get_args(Over) if (status, over) != ("live", "")]


def cells(axes: dict[str, tuple[Any, ...]], **fixed: Any) -> Iterator[Cell]:
    first = Cell(**fixed)
    for values in itertools.product(*axes.values()):
        yield first._replace(**dict(zip(axes, values, strict=True)))


@pytest.mark.parametrize("axes", [pytest.param(FEWER, id="few"), pytest.param(LIVE, id="all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("place", get_args(Place))
def test_every_cell_of_a_live_family_is_decided_as_the_table_says(
    place: Place, axes: dict[str, tuple[Any, ...]]
) -> None:
    others = {name: values for name, values in axes.items() if name != "place"}
    rows = {check(cell) for cell in cells(others, place=place)}
    assert rows <= {2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize(("status", "over"), ENDS)
def test_every_cell_of_a_family_that_is_over_is_row_1(status: Status, over: Over) -> None:
    assert {check(cell) for cell in cells(FEWER, status=status, over=over)} == {1}


@pytest.mark.slow
@pytest.mark.parametrize(("status", "over"), ENDS)
def test_every_cell_of_a_family_that_is_over_is_row_1_whatever_else_is_true(status: Status, over: Over) -> None:
    assert {check(cell) for cell in cells(LIVE, status=status, over=over)} == {1}


def test_the_cells_reach_every_row() -> None:
    assert {row_of(cell)[0] for cell in cells(FEWER)} | {row_of(Cell(status="revoked"))[0]} == set(range(1, 8))
