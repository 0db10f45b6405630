"""The figures of docs/family.md, worked out: one function for each table, and the way to put them into the page.

A table stands in the page between `<!-- NAME -->` and `<!-- end -->`, where NAME is a key of `TABLES`.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, get_args

from detent.core.family import Ahead
from detent.core.policy import Overrides, RefreshPolicy, effective_policy
from detent.testing.family_model import failover, world
from detent.testing.family_model.failover import Failover
from detent.testing.family_model.row import HEAD, OLDER, PARENT
from detent.testing.family_model.world import NAMES, Keys, Scenario, State, is_noticed


class Row(NamedTuple):
    """A line of a table: a policy, and how its clients use retry keys."""

    name: str
    policy: RefreshPolicy
    keys: Keys = "none"


STRICT: Final = Row("strict (`browser`)", effective_policy("browser", Overrides()))
STRICT_WITH_KEY: Final = Row("strict, with a retry key", STRICT.policy, "pending")
OVERLAP: Final = Row("overlap, revoke (`native`; `web` that rotates)", effective_policy("native", Overrides()))
OVERLAP_WITH_KEY: Final = Row("overlap, revoke, with a retry key", OVERLAP.policy, "pending")
SUSPECT: Final = Row("overlap, suspect (`cli`)", effective_policy("cli", Overrides()))
NOT_ROTATING: Final = Row("not rotating (`web`, DPoP, mTLS)", effective_policy("web", Overrides()))

_HONEST: Final[dict[str, dict[str, Any]]] = {
    "one client, one request at a time": {},
    "one client, any request may arrive twice": {"doubles": True},
    "one client, a request it gave up arrives later": {"strays": 1},
    "three tabs, nothing lost": {"tabs": 3, "loses": False, "spans": False},
    "three tabs, answers lost, a new token rests": {"tabs": 3, "spans": False, "rests": True},
    "two tabs, answers lost": {"tabs": 2, "spans": False},
    "two tabs, requests under way as an overlap ends": {"tabs": 2, "loses": False},
    "two copies of one store": {"tabs": 2, "shares_store": False, "loses": False, "spans": False},
}
_THIEF: Final[dict[str, dict[str, Any]]] = {
    "nobody is served inside an overlap": {"apart": True},
    "at any time": {},
    "at any time, from another machine": {"thief_is_elsewhere": True},
}
_STOLEN_KEYS: Final[dict[str, dict[str, Any]]] = {
    "he has the pending retry key too": {"keys": "pending", "steals_key": True},
    "he has the constant retry key too": {"keys": "constant", "steals_key": True},
}


class _Traces:
    """The distinct traces of a table, numbered as they appear."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def cell(self, trace: list[str] | None) -> str:
        if trace is None:
            return "never"
        return f"trace {self._numbers.setdefault(' · '.join(trace), len(self._numbers) + 1)}"

    def lines(self) -> list[str]:
        return ["", *(f"{number}. {trace}" for trace, number in self._numbers.items())]


def honest() -> str:
    """Whether the owner's own clients can have the family killed or suspected."""
    traces, states = _Traces(), 0
    lines = _header(_HONEST)
    for row in (STRICT, STRICT_WITH_KEY, OVERLAP, OVERLAP_WITH_KEY, SUSPECT, NOT_ROTATING):
        cells = []
        for fields in _HONEST.values():
            graph = world.explored(Scenario(row.policy, keys=row.keys, **fields))
            cells.append(traces.cell(graph.trace_to(is_noticed)))
            states += len(graph)
        lines.append(_line(row.name, cells))
    return _table([*lines, *traces.lines()], states)


def thief() -> str:
    """How many turns owner and thief can take before one of them is noticed."""
    lines = {
        row.name: [Scenario(row.policy, keys=row.keys, **fields) for fields in _THIEF.values()]
        for row in (STRICT, STRICT_WITH_KEY, OVERLAP, SUSPECT, NOT_ROTATING)
    }
    after = {
        "overlap, suspect, counted on after suspicion": [one._replace(goes_on=True) for one in lines[SUSPECT.name]]
    }
    return _turns(_THIEF, {**lines, **after})


def copies() -> str:
    """What one copied token does, by what it is when it is presented; the thief has nothing else."""
    tokens = [NAMES[token] for token in (HEAD, PARENT, OLDER)]
    states, lines = 0, _header(tokens)
    for row in (STRICT, OVERLAP, SUSPECT, NOT_ROTATING):
        scenario = Scenario(row.policy, thief=True)
        graph = world.explored(scenario)
        told = {move.told for state in graph.states if _has_one_copy(state) for move in world.moves(scenario, state)}
        begins = [f"T presents {token}: " for token in tokens]
        cells = [sorted(one.removeprefix(begin) for one in told if one.startswith(begin)) for begin in begins]
        lines.append(_line(row.name, [", ".join(cell) or "–" for cell in cells]))
        states += len(graph)
    return _table(lines, states)


def restored() -> str:
    """What happens to owner and thief when the store is rolled back by one or two commits, with a new restore epoch."""
    traces, states = _Traces(), 0
    lines = _header(
        f"`{ahead}`: {question}"
        for ahead in get_args(Ahead)
        for question in ("one client is killed", "the thief is answered", "owner and thief are both answered")
    )
    for row in (STRICT, OVERLAP, SUSPECT, NOT_ROTATING):
        cells = []
        for ahead in get_args(Ahead):
            alone = failover.explored(Failover(row.policy, ahead))
            both = failover.explored(Failover(row.policy, ahead, thief=True, in_overlap=ahead == "refuse"))
            cells.append(traces.cell(alone.trace_to(failover.is_killed)))
            cells.append(traces.cell(both.trace_to(lambda state: state.last_answered == "thief")))
            cells.append("never" if both.most_turns() == 0 else "yes")
            states += len(alone) + len(both)
        lines.append(_line(row.name, cells))
    return _table([*lines, *traces.lines()], states)


def keys_and_tabs() -> str:
    """The same with stolen retry keys, and with an owner of two tabs (nothing under way as an overlap ends)."""
    columns = {**_THIEF, **_STOLEN_KEYS}
    one_tab: dict[str, Any] = {}
    two_tabs = {"tabs": 2, "spans": False}
    lines = {
        name: [Scenario(policy, **who, **fields) for fields in columns.values()]
        for name, policy, who in (
            ("strict, one client", STRICT.policy, one_tab),
            ("overlap, one client", OVERLAP.policy, one_tab),
            ("overlap, two tabs", OVERLAP.policy, two_tabs),
        )
    }
    return _turns(columns, lines)


TABLES: Final[dict[str, Callable[[], str]]] = {
    function.__name__: function for function in (honest, thief, copies, restored, keys_and_tabs)
}


def with_figures(page: str, names: Iterable[str]) -> str:
    """The page with these tables worked out anew. Raises KeyError for a table that there is not."""
    for name in names:
        table = TABLES[name]()
        page = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\g<1>{table}\n\g<2>", page, flags=re.DOTALL)
    return page


def _has_one_copy(state: State) -> bool:
    return len(state.loot.tokens) == 1 and not state.loot.retry_keys


def _turns(columns: Iterable[str], scenarios: dict[str, list[Scenario]]) -> str:
    states, lines = 0, _header(columns)
    for name, line in scenarios.items():
        cells = []
        for scenario in line:
            graph = world.explored(scenario._replace(thief=True))
            turns = graph.most_turns()
            cells.append("for ever" if turns is None else str(turns))
            states += len(graph)
        lines.append(_line(name, cells))
    return _table(lines, states)


def _header(names: Iterable[str]) -> list[str]:
    names = list(names)
    return [_line("policy", names), _line("---", ["---"] * len(names))]


def _line(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"


def _table(lines: Iterable[str], states: int) -> str:
    return "\n".join([*lines, "", f"States searched: {states:,}."])
