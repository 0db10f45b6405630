"""The same owner and thief over a store that is rolled back once and comes up with a higher restore epoch.

Here a token is its real generation and epoch, so the search is bounded: generations up to `LAST`, and up to the last
two commits lost. The owner is one client that sends one request at a time and may lose the answer. The thief copied a
token that was consumed when the store failed, and keeps still until after it: whoever acts earlier is the thief of
`world`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from detent.core.family import Ahead, Family, Presented, Refuse, Repeat, Reuse, Surroundings, decide
from detent.core.policy import RefreshPolicy
from detent.testing.family_model.row import FAMILY, LONG_AGO, NOW, OLDER, place
from detent.testing.family_model.search import Graph, Move, Party

LAST = 6
LOST_COMMITS = 2
_MOVING = ("generation", "epoch", "parent", "parent_epoch", "rotated_at", "tolerated", "repeated", "status")

Token = tuple[int, int]  # generation and epoch
Columns = tuple[Any, ...]  # of a row, as `_MOVING` names them


class Failover(NamedTuple):
    policy: RefreshPolicy
    ahead: Ahead
    thief: bool = False
    in_overlap: bool = True  # the store may be back so fast that the overlap of its last rotation still runs


class State(NamedTuple):
    row: Columns
    owner: Token
    recent: tuple[Columns, ...] = ()  # the rows that a failover could bring back, newest first
    epoch: int = 0
    loot: tuple[Token, ...] = ()
    last_answered: Party = ""  # since the failover
    owner_is_refused: bool = False


def explored(failover: Failover) -> Graph[State]:
    start = State(_columns(FAMILY), (FAMILY.generation, FAMILY.epoch))
    return Graph(start, lambda state: _moves(failover, state))


def is_killed(state: State) -> bool:
    return _family(state).status != "live"


def _moves(failover: Failover, state: State) -> Iterator[Move[State]]:
    family = _family(state)
    if is_killed(state) or family.generation >= LAST:
        return
    if not state.owner_is_refused:
        yield from _owner_presents(failover, state)
    if family.rotated_at == NOW:
        yield Move("~", state._replace(row=_aged(family)))
    if state.epoch:
        yield from _thief_presents(failover, state)
        return
    if failover.thief and not state.loot:
        yield Move(f"T copies RT{state.owner[0]}", state._replace(loot=(state.owner,)))
    if not failover.thief or any(place(token[0], family) == OLDER for token in state.loot):
        yield from _fails_over(failover, state)


def _fails_over(failover: Failover, state: State) -> Iterator[Move[State]]:
    for row in (state.row, *state.recent):
        family = _family(state._replace(row=row))
        told = f"the store comes back with RT{family.generation} as its head"
        for found in {_aged(family), row} if failover.in_overlap else (_aged(family),):
            yield Move(told, state._replace(row=found, recent=(), epoch=1))


def _owner_presents(failover: Failover, state: State) -> Iterator[Move[State]]:
    after, told, is_answered, token = _presented(failover, state, state.owner)
    told = f"O presents RT{state.owner[0]}: {told}"
    if is_answered:
        is_turn = state.last_answered == "thief"
        answered = after._replace(last_answered="owner" if state.epoch else "")
        yield Move(told, answered._replace(owner=token or state.owner), is_turn)
        yield Move(f"{told}, the answer is lost", after)
    else:
        yield Move(told, after._replace(owner_is_refused=True))


def _thief_presents(failover: Failover, state: State) -> Iterator[Move[State]]:
    for held in state.loot:
        after, told, is_answered, token = _presented(failover, state, held)
        told = f"T presents RT{held[0]}: {told}"
        if is_answered:
            loot = tuple(sorted({*state.loot, token})) if token else state.loot
            is_turn = state.last_answered == "owner"
            yield Move(told, after._replace(loot=loot, last_answered="thief"), is_turn)
        else:
            yield Move(told, after)


def _presented(failover: Failover, state: State, token: Token) -> tuple[State, str, bool, Token | None]:
    """The world after this token was presented, the decision's name, whether it was a yes, and the token it gave."""
    family = _family(state)
    around = Surroundings(store_epoch=state.epoch, ahead=failover.ahead)
    decision = decide(family, Presented(*token, origin=family.origin), failover.policy, around, NOW)
    told = type(decision).__name__
    if isinstance(decision, Refuse):
        return state, told, False, None
    after = decision.after or family
    if decision.after and not state.epoch:
        state = state._replace(recent=(state.row, *state.recent)[:LOST_COMMITS])
    state = state._replace(row=_columns(after))
    if isinstance(decision, Reuse):
        return state, told, False, None
    is_bare = isinstance(decision, Repeat) and decision.bare
    return state, told, True, None if is_bare else (after.generation, after.epoch)


def _family(state: State) -> Family:
    return msgspec.structs.replace(FAMILY, **dict(zip(_MOVING, state.row, strict=True)))


def _columns(family: Family) -> Columns:
    return tuple(getattr(family, name) for name in _MOVING)


def _aged(family: Family) -> Columns:
    """The same row after its overlap."""
    return _columns(msgspec.structs.replace(family, rotated_at=family.rotated_at and LONG_AGO))
