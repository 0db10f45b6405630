"""The world around one family: an owner with one or more tabs, perhaps a thief, a lossy network, and time.

One move is one thing that can happen: a tab reads its store and sends; a request is lost, or carried out and its
answer lost (which is also what a crash after the commit looks like), or answered; an answer is stored; an overlap ends;
the thief copies the store, once, or presents anything he has. Moves come in every order and as often as they like.
Left out: idle and absolute life and cut-offs, which only ever end a family; changes of policy; restores (`failover`).
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal, NamedTuple, TypeVar

from detent.core.policy import RefreshPolicy
from detent.testing.family_model.row import EQUALS, HEAD, NO_KEY, OLDER, PARENT, Outcome, Row, presented
from detent.testing.family_model.search import Graph, Move, Party

Keys = Literal["none", "pending", "new each time", "sometimes stripped", "constant"]
T = TypeVar("T")

_CONSTANT_KEY = 1
NAMES = {HEAD: "the head", PARENT: "the parent", OLDER: "an older token", **dict.fromkeys(EQUALS, "its equal")}


class Scenario(NamedTuple):
    """Who takes part, and what they may do. The defaults: one client, one request at a time, that may be lost."""

    policy: RefreshPolicy
    tabs: int = 1
    shares_store: bool = True
    keys: Keys = "none"  # "pending": stored before it is sent, and kept until an answer with a token comes
    loses: bool = True  # requests and answers may be lost
    rests: bool = False  # a token is sent only while no older one is under way: its access token is good for a while
    spans: bool = True  # requests may be under way when an overlap ends
    doubles: bool = False  # a request may arrive twice in one moment; the second answer goes nowhere
    strays: int = 0  # requests that were given up, and may still arrive at any time
    roams: bool = False  # the owner's agent and network change at will
    thief: bool = False
    steals_key: bool = False
    thief_is_elsewhere: bool = False  # another agent and another network than the owner's
    apart: bool = False  # nobody is served while an overlap runs
    goes_on: bool = False  # suspicion does not end the run


class Request(NamedTuple):
    token: int
    retry_key: int
    origin: int


class Tab(NamedTuple):
    """Idle, or waiting for the answer to `sent`; `answer` is None while the server has not carried it out."""

    sent: Request | None = None
    answer: int | None = None


class Store(NamedTuple):
    token: int = HEAD
    retry_key: int = NO_KEY


class Loot(NamedTuple):
    """What the thief has; no tokens: he has not stolen yet."""

    tokens: tuple[int, ...] = ()
    retry_keys: tuple[int, ...] = ()


class State(NamedTuple):
    row: Row
    stores: tuple[Store, ...]
    tabs: tuple[Tab, ...]
    strays: tuple[Request, ...] = ()
    loot: Loot = Loot()
    last_answered: Party = ""  # since the theft
    turn_counted: bool = False  # since the last rotation or end of an overlap


def explored(scenario: Scenario) -> Graph[State]:
    stores = 1 if scenario.shares_store else scenario.tabs
    start = State(Row(), (Store(),) * stores, (Tab(),) * scenario.tabs)
    return Graph(start, lambda state: moves(scenario, state))


def is_noticed(state: State) -> bool:
    return state.row.is_over or state.row.is_suspected


def moves(scenario: Scenario, state: State) -> Iterator[Move[State]]:
    if state.row.is_over or (state.row.is_suspected and not scenario.goes_on):
        return
    for move in chain(
        _owner(scenario, state), _strays(scenario, state), _time(scenario, state), _thief(scenario, state)
    ):
        yield move._replace(to=_canonical(move.to))


def _owner(scenario: Scenario, state: State) -> Iterator[Move[State]]:
    for index, tab in enumerate(state.tabs):
        name = "O" if scenario.tabs == 1 else f"O{index + 1}"
        if tab.sent is None:
            if not (scenario.rests and _is_older_under_way(state)):
                yield from _sends(scenario, state, index, name)
        elif tab.answer is not None:
            yield from _receives(scenario, state, index, name, tab.sent, tab.answer)
        elif _is_served(scenario, state):
            yield from _arrives(scenario, state, index, name, tab.sent)


def _is_older_under_way(state: State) -> bool:
    """The tabs share one store."""
    return any(request.token != state.stores[0].token for request in _requests(state))


def _is_served(scenario: Scenario, state: State) -> bool:
    return not (scenario.apart and state.row.rotated == "young")


def _sends(scenario: Scenario, state: State, index: int, name: str) -> Iterator[Move[State]]:
    where = 0 if scenario.shares_store else index
    store = state.stores[where]
    for retry_key in _next_keys(scenario, state, store):
        kept = retry_key if scenario.keys in ("pending", "sometimes stripped") and retry_key else store.retry_key
        stores = _put(state.stores, where, store._replace(retry_key=kept))
        for origin in (0, 1) if scenario.roams else (0,):
            tab = Tab(Request(store.token, retry_key, origin))
            told = f"{name} sends {NAMES[store.token]}"
            yield Move(told, state._replace(stores=stores, tabs=_put(state.tabs, index, tab)))


def _next_keys(scenario: Scenario, state: State, store: Store) -> tuple[int, ...]:
    if scenario.keys == "constant":
        return (_CONSTANT_KEY,)
    if scenario.keys == "new each time":
        return (_unused_key(state),)
    pending = store.retry_key or _unused_key(state)
    return {"none": (NO_KEY,), "pending": (pending,), "sometimes stripped": (NO_KEY, pending)}[scenario.keys]


def _arrives(scenario: Scenario, state: State, index: int, name: str, request: Request) -> Iterator[Move[State]]:
    idle = state._replace(tabs=_put(state.tabs, index, Tab()))
    outcome = presented(state.row, scenario.policy, *request)
    told = f"{name} is served: {outcome.decision}"
    if outcome.is_answered:
        after = _after(state, outcome)
        after = after._replace(tabs=_put(after.tabs, index, after.tabs[index]._replace(answer=outcome.answer)))
        yield _answered(told, "owner", state, after, outcome, counts=scenario.thief)
        if scenario.doubles:
            second = presented(after.row, scenario.policy, *request._replace(token=outcome.renamed[request.token]))
            yield Move(f"{told}, and for the same request again: {second.decision}", _after(after, second))
    else:
        yield Move(told, _after(idle, outcome))
    if scenario.loses:
        yield Move(f"{told}, the answer is lost", _after(idle, outcome))
        yield Move(f"{name}'s request is lost", idle)
    if len(state.strays) < scenario.strays:
        yield Move(f"{name} gives up, its request stays under way", idle._replace(strays=(*state.strays, request)))


def _receives(
    scenario: Scenario, state: State, index: int, name: str, sent: Request, answer: int
) -> Iterator[Move[State]]:
    """Stores the new token; a careful client does so only if the store still holds what it sent."""
    where = 0 if scenario.shares_store else index
    idle = state._replace(tabs=_put(state.tabs, index, Tab()))
    if not answer or state.stores[where].token != sent.token:
        yield Move(f"{name} leaves its store as it is", idle)
    if answer:
        yield Move(f"{name} stores it", idle._replace(stores=_put(state.stores, where, Store(answer))))


def _strays(scenario: Scenario, state: State) -> Iterator[Move[State]]:
    for index, request in enumerate(state.strays):
        rest = state._replace(strays=state.strays[:index] + state.strays[index + 1 :])
        outcome = presented(state.row, scenario.policy, *request)
        yield Move(f"the request that was given up is served: {outcome.decision}", _after(rest, outcome))
        yield Move("the request that was given up is lost", rest)


def _time(scenario: Scenario, state: State) -> Iterator[Move[State]]:
    is_quiet = not state.strays and all(tab.sent is None for tab in state.tabs)
    if state.row.rotated == "young" and (scenario.spans or is_quiet):
        yield Move("~", state._replace(row=state.row._replace(rotated="old"), turn_counted=False))


def _thief(scenario: Scenario, state: State) -> Iterator[Move[State]]:
    if scenario.thief and not state.loot.tokens:
        for store in state.stores:
            key = _CONSTANT_KEY if scenario.keys == "constant" else store.retry_key
            loot = Loot((store.token,), (key,) if scenario.steals_key else ())
            yield Move("T copies the store", state._replace(loot=loot, last_answered="", turn_counted=False))
    elif _is_served(scenario, state):
        yield from _thief_presents(scenario, state)


def _thief_presents(scenario: Scenario, state: State) -> Iterator[Move[State]]:
    for token in state.loot.tokens:
        for retry_key in (NO_KEY, _unused_key(state), *state.loot.retry_keys):
            outcome = presented(state.row, scenario.policy, token, retry_key, int(scenario.thief_is_elsewhere))
            told = f"T presents {NAMES[token]}: {outcome.decision}"
            after = _after(state, outcome)
            if outcome.is_answered:
                has, keys = after.loot.tokens, after.loot.retry_keys
                after = after._replace(loot=Loot((*has, outcome.answer) if outcome.answer else has, (*keys, retry_key)))
                yield _answered(told, "thief", state, after, outcome)
            else:
                yield Move(told, after)


def _after(state: State, outcome: Outcome) -> State:
    """The same world with the row changed, and so every token become what it now is."""
    new = outcome.renamed
    if new == tuple(range(HEAD + 1)):
        return state._replace(row=outcome.row)
    return state._replace(
        row=outcome.row,
        stores=tuple(store._replace(token=new[store.token]) for store in state.stores),
        tabs=tuple(
            Tab(tab.sent._replace(token=new[tab.sent.token]), tab.answer and new[tab.answer]) if tab.sent else tab
            for tab in state.tabs
        ),
        strays=tuple(request._replace(token=new[request.token]) for request in state.strays),
        loot=state.loot._replace(tokens=tuple(new[token] for token in state.loot.tokens)),
    )


def _answered(
    told: str, who: Party, before: State, after: State, outcome: Outcome, *, counts: bool = True
) -> Move[State]:
    """A turn: one party gets tokens after the other did. It counts once from one rotation or end of overlap to the
    next: between them all get the same token, so taking turns gains nothing.
    """
    if not counts:
        return Move(told, after)
    is_new_head = outcome.renamed[HEAD] != HEAD and before.row.rotated != "young"
    is_same_stretch = not (outcome.restarts_overlap or is_new_head or before.row.rotated == "never")
    counted = before.turn_counted and is_same_stretch
    is_turn = before.last_answered not in ("", who) and not counted
    return Move(told, after._replace(last_answered=who, turn_counted=counted or is_turn), is_turn)


def _unused_key(state: State) -> int:
    known = {state.row.retry_key, *state.loot.retry_keys, *(store.retry_key for store in state.stores)}
    known |= {request.retry_key for request in _requests(state)}
    return next(key for key in range(_CONSTANT_KEY + 1, len(known) + 3) if key not in known)


def _requests(state: State) -> Iterable[Request]:
    return (*(tab.sent for tab in state.tabs if tab.sent), *sorted(state.strays))


def _canonical(state: State) -> State:
    """The same state under one name: keys numbered as they appear, what the thief cannot use any more forgotten."""
    number = {NO_KEY: NO_KEY, _CONSTANT_KEY: _CONSTANT_KEY}
    for key in (state.row.retry_key, *(store.retry_key for store in state.stores)):
        number.setdefault(key, len(number))
    for request in _requests(state):
        number.setdefault(request.retry_key, len(number))
    has, keys = state.loot
    known = sorted({number[key] for key in keys if key and key in number})
    state = state._replace(loot=Loot(tuple(sorted(set(has))), tuple(known)))
    if all(key == name for key, name in number.items()):
        return state._replace(strays=tuple(sorted(state.strays)))
    return state._replace(
        row=state.row._replace(retry_key=number[state.row.retry_key]),
        stores=tuple(store._replace(retry_key=number[store.retry_key]) for store in state.stores),
        tabs=tuple(
            tab._replace(sent=tab.sent._replace(retry_key=number[tab.sent.retry_key])) if tab.sent else tab
            for tab in state.tabs
        ),
        strays=tuple(sorted(request._replace(retry_key=number[request.retry_key]) for request in state.strays)),
    )


def _put(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])
