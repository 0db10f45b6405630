"""Exhaustive search: all states that moves can reach, the shortest way to one, and how often two parties take turns.

Nothing here knows of tokens; a state is any value with a hash. The search goes breadth first, so a trace is a
shortest one.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Literal, NamedTuple, TypeVar

Party = Literal["", "owner", "thief"]
S = TypeVar("S")


class Move(NamedTuple, Generic[S]):
    """One edge: what happened, where it leads, and whether it is a turn (the other party was answered before)."""

    told: str
    to: S
    is_turn: bool = False


class Graph(Generic[S]):
    """Everything that can happen from `start` on. States are numbered as they are found; 0 is the start."""

    def __init__(self, start: S, moves: Callable[[S], Iterable[Move[S]]]) -> None:
        self.states = [start]
        self._after: list[list[tuple[int, bool]]] = []
        self._came: list[tuple[int, str]] = [(0, "")]
        numbers = {start: 0}
        for number, state in enumerate(self.states):  # which grows meanwhile
            after = []
            for move in moves(state):
                to = numbers.setdefault(move.to, len(self.states))
                if to == len(self.states):
                    self.states.append(move.to)
                    self._came.append((number, move.told))
                after.append((to, move.is_turn))
            self._after.append(after)

    def __len__(self) -> int:
        return len(self.states)

    def trace_to(self, wanted: Callable[[S], bool]) -> list[str] | None:
        """The shortest way to such a state, or None: there is none."""
        number = next((number for number, state in enumerate(self.states) if wanted(state)), None)
        if number is None:
            return None
        trace = []
        while number:
            number, told = self._came[number]
            trace.append(told)
        return trace[::-1]

    def most_turns(self) -> int | None:
        """How many turns one run can have; None: there is a cycle with a turn in it, so it can go on for ever."""
        reached, turns = self._reached([0]), 0
        while further := self._reached(self._turns(reached)):
            if further == reached:
                return None
            reached, turns = further, turns + 1
        return turns

    def _turns(self, numbers: Iterable[int]) -> Iterator[int]:
        return (to for number in numbers for to, is_turn in self._after[number] if is_turn)

    def _reached(self, numbers: Iterable[int]) -> set[int]:
        """These states and all that can follow."""
        seen = set(numbers)
        waiting = list(seen)
        while waiting:
            new = {to for to, _ in self._after[waiting.pop()]} - seen
            seen |= new
            waiting.extend(new)
        return seen
