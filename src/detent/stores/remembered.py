"""What the store remembers of rows that nearly every request asks for: clients, APIs, the installation.

A missing row is remembered too, apart from the others: whoever asks for names at random pushes out nobody's client.
"""

from typing import Any, Final

from detent.core.latest import Latest

UNKNOWN: Final = object()
_LONGEST_NAME: Final = 1000

Name = tuple[str, str]


class Remembered:
    def __init__(self, limit: int) -> None:
        self.forgotten = 0  # how often: what was read before is not to be put after
        self._found: Latest[Name, Any] = Latest(limit)
        self._missing: Latest[Name, None] = Latest(limit)

    def get(self, name: Name) -> Any:
        """The value, None where there is none, UNKNOWN where the store must be asked."""
        value = self._found.get(name)
        if value is not None:
            self._found.move_to_end(name)
            return value
        return None if name in self._missing else UNKNOWN

    def put(self, name: Name, value: Any) -> None:
        if len(name[1]) > _LONGEST_NAME:
            return
        part = self._missing if value is None else self._found
        part[name] = value

    def forget(self, *names: Name) -> None:
        self.forgotten += 1
        for name in names:
            self._found.pop(name, None)
            self._missing.pop(name, None)

    def forget_all(self) -> None:
        self.forgotten += 1
        self._found.clear()
        self._missing.clear()
