"""The issuer's public keys, fetched rarely and held for a bounded time.

Source: RFC 7517 §5, RFC 9111 §5.2.2.1 (max-age), RFC 5861 §4 (stale-if-error). One request at a time, whoever
asks; who invents key ids causes one request per pause and no more. Weighing keys is keys.py, HTTP fetch.py.
Rule: keys are believed for max-age, then for `stale_seconds` while the issuer is out of reach, no longer.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from detent.resource_server.compact import load_object
from detent.resource_server.errors import Unavailable
from detent.resource_server.fetch import Fetch, checked_url, fetch
from detent.resource_server.keys import VerificationKeys

_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])", re.IGNORECASE)
_DEFAULT_AGE_SECONDS: Final = 300
_AGE_BOUNDS_SECONDS: Final = (60, 86_400)


class KeySource(Protocol):
    """Where verification keys come from. `fetches` counts the requests made for them."""

    fetches: int

    async def keys(self) -> VerificationKeys:
        """The keys in force. Raises Unavailable if there are none that may still be believed."""
        ...

    async def newer(self, than: VerificationKeys) -> VerificationKeys:
        """For an unknown `kid`: other keys than these if there are any, else the same ones."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    keys: VerificationKeys
    fresh_until: float
    stale_until: float


class JwksCache:
    """A `KeySource` over a JWKS URL; for one event loop.

    `pause_seconds` lie between two requests that nothing but a failure or an unknown key id asks for, and
    `first_pause_seconds` between two while there are no keys yet.
    `clock` counts seconds and need not know the date.
    """

    def __init__(
        self,
        url: str,
        *,
        fetch: Fetch = fetch,
        clock: Callable[[], float] = time.monotonic,
        pause_seconds: float = 10,
        first_pause_seconds: float = 1,
        stale_seconds: float = 3_600,
    ) -> None:
        self.fetches = 0
        self._url = checked_url(url)
        self._fetch = fetch
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._first_pause_seconds = first_pause_seconds
        self._stale_seconds = stale_seconds
        self._held: _Held | None = None
        self._last_start: float | None = None
        self._last_failed = False
        self._running: asyncio.Task[None] | None = None

    async def keys(self) -> VerificationKeys:
        now, held = self._clock(), self._held
        if held and now < held.fresh_until:
            return held.keys
        running = self._refresh(now)
        # Once the issuer is known to be down, nobody waits for it while old keys may still be used.
        if running and not (held and now < held.stale_until and self._last_failed):
            await asyncio.shield(running)
        held = self._held
        if held is None or self._clock() >= held.stale_until:
            raise Unavailable("the signing keys could not be fetched")
        return held.keys

    async def newer(self, than: VerificationKeys) -> VerificationKeys:
        if self._held and self._held.keys is than and (running := self._refresh(self._clock())):
            await asyncio.shield(running)
        return await self.keys()

    def _refresh(self, now: float) -> asyncio.Task[None] | None:
        """The request under way, or a new one; None during the pause after the last."""
        if self._running is None:
            pause = self._pause_seconds if self._held else self._first_pause_seconds
            if self._last_start is not None and now < self._last_start + pause:
                return None
            self._last_start = now
            self._running = asyncio.create_task(self._load())
        return self._running

    async def _load(self) -> None:
        self.fetches += 1
        try:
            self._held = await self._fetched()
            self._last_failed = False
        except (Unavailable, ValueError):
            self._last_failed = True  # what is held stays, as long as it may
        finally:
            self._running = None

    async def _fetched(self) -> _Held:
        response = await self._fetch(self._url, headers={"Accept": "application/json"})
        document = load_object(response.body)
        if response.status != 200 or document is None:
            raise Unavailable("the answer is not a key set")
        fresh_until = self._clock() + _age(response.headers.get("cache-control", ""))
        return _Held(VerificationKeys.from_jwks(document), fresh_until, fresh_until + self._stale_seconds)


def _age(cache_control: str) -> float:
    found = _MAX_AGE.search(cache_control)
    seconds = int(found[1]) if found else _DEFAULT_AGE_SECONDS
    return min(max(seconds, _AGE_BOUNDS_SECONDS[0]), _AGE_BOUNDS_SECONDS[1])
