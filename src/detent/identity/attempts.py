"""Optimistic writing: read and write anew while somebody else's write comes in between."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from detent.core.errors import Conflict

T = TypeVar("T")

_ATTEMPTS: Final = 5


async def on_what_is_stored(attempt: Callable[[], Awaitable[T]]) -> T:
    """What `attempt` returns, which reads before it writes. Raises Conflict if others keep coming between."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(Conflict):
            return await attempt()
    return await attempt()
