"""Has what this access token came of been ended? Asked of the issuer's published list, fetched once per ttl.

Source: draft-ietf-oauth-status-list-20 §4 (encoding), §5.1 (the list), §6.2 (the claim), §8.3 (validation). One
request at a time per list, whoever asks. The token itself has been verified before (§8.3).
Rule: a list is believed until its `iat` + `ttl`, so that an end is seen that soon and not a second later; then, while
the issuer is out of reach, for `stale_seconds`, and never once it has expired.
"""

import asyncio
import re
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from detent.resource_server.compact import base64url
from detent.resource_server.errors import InvalidToken, Unavailable, UnknownKey
from detent.resource_server.fetch import Fetch, checked_url, fetch
from detent.resource_server.jwks import KeySource
from detent.resource_server.verify import Audience, Claims, Verifier, instant

MAX_LIST_BYTES: Final = 1 << 20  # decompressed
_MAX_TOKEN_BYTES: Final = 2 * MAX_LIST_BYTES
_TTL_SECONDS: Final = (1, 86_400)
_DEFAULT_TTL_SECONDS: Final = 60
_PAUSE_SECONDS: Final = 1.0
# Beneath the issuer, and nothing that leads out of there again.
_PATH: Final = re.compile(r"(?!.{0,254}\.\.)[A-Za-z0-9\-._~/?=&]{1,256}")


@dataclass(frozen=True, slots=True)
class StatusList:
    """The bytes of a list and how many bits of them are one status (§4.1)."""

    bits: int
    statuses: bytes = field(repr=False)

    @classmethod
    def from_json(cls, document: Any) -> "StatusList":
        """Read `status_list` (§4.2). Raises Unavailable unless it is whole, well-formed and of bearable size."""
        bits, lst = (document.get("bits"), document.get("lst")) if isinstance(document, dict) else (None, None)
        if type(bits) is not int or bits not in (1, 2, 4, 8) or not isinstance(lst, str):
            raise Unavailable("not a status list")
        inflating = zlib.decompressobj()
        try:
            statuses = inflating.decompress(base64url(lst.encode()), MAX_LIST_BYTES)
        except (InvalidToken, zlib.error):
            raise Unavailable("the status list is not encoded as it should be") from None
        if not inflating.eof or inflating.unused_data:
            raise Unavailable("the status list is too large, cut off, or followed by something")
        return cls(bits, statuses)

    def status(self, index: int) -> int | None:
        """0 is valid, anything else is not (§7.1); None beyond the end of the list."""
        byte, place = divmod(index * self.bits, 8)
        if byte >= len(self.statuses):
            return None
        return self.statuses[byte] >> place & (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class _Held:
    listed: StatusList
    iat: float
    ask_again_at: float
    stale_until: float


class StatusLists:
    """Status lists of one issuer, for one event loop. `fetches` counts the requests made for them.

    `stale_seconds`: how long a list that cannot be renewed is believed beyond its ttl; 0 refuses every token (503)
    as soon as the issuer is out of reach for a ttl. `lists` are held at most. `clock` tells seconds since the epoch.
    """

    def __init__(
        self,
        issuer: str,
        jwks: KeySource,
        *,
        fetch: Fetch = fetch,
        clock: Callable[[], float] = time.time,
        stale_seconds: float = 3_600,
        lists: int = 1_024,
    ) -> None:
        self.fetches = 0
        self._root = checked_url(issuer.rstrip("/") + "/")
        self._verifier = Verifier(issuer, Audience.ANY, types=("statuslist+jwt",))
        self._jwks = jwks
        self._fetch = fetch
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._lists = lists
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._failed_at: OrderedDict[str, float] = OrderedDict()
        self._running: dict[str, asyncio.Task[None]] = {}

    async def check(self, claims: Claims) -> None:
        """Raises InvalidToken if the token's authorization has ended, Unavailable if nobody can say.

        A token without `status` passes: an issuer that knows no lists wrote it, or one that has none for it.
        """
        if "status" not in claims.raw:
            return
        index, uri = self._reference(claims.raw["status"])
        status = (await self._list(uri)).status(index)
        if status is None:
            raise InvalidToken("its status list does not reach so far")
        if status:
            raise InvalidToken("what it was issued for has ended")

    def _reference(self, status: Any) -> tuple[int, str]:
        """§6.2. Raises InvalidToken for what is not a reference to a list of this issuer."""
        reference = status.get("status_list") if isinstance(status, dict) else None
        index, uri = (reference.get("idx"), reference.get("uri")) if isinstance(reference, dict) else (None, None)
        if type(index) is not int or index < 0 or not isinstance(uri, str):
            raise InvalidToken("its status claim is malformed")
        if not uri.startswith(self._root) or not _PATH.fullmatch(uri.removeprefix(self._root)):
            raise InvalidToken("its status list is not the issuer's")
        return index, uri

    async def _list(self, uri: str) -> StatusList:
        held = self._held.get(uri)
        if held is None or self._clock() >= held.ask_again_at:
            running = self._refresh(uri)
            # Once the issuer is known to be down, nobody waits for it while an old list may still be used.
            if running and not (held and self._clock() < held.stale_until and uri in self._failed_at):
                await asyncio.shield(running)
            held = self._held.get(uri)
        if held is None or self._clock() >= held.stale_until:
            raise Unavailable("the status list could not be fetched")
        self._held.move_to_end(uri)
        return held.listed

    def _refresh(self, uri: str) -> asyncio.Task[None] | None:
        """The request under way, or a new one; None during the pause after one that failed."""
        if uri not in self._running:
            failed_at = self._failed_at.get(uri)
            if failed_at is not None and 0 <= self._clock() - failed_at < _PAUSE_SECONDS:
                return None
            self._running[uri] = asyncio.create_task(self._load(uri))
        return self._running[uri]

    async def _load(self, uri: str) -> None:
        self.fetches += 1
        try:
            fetched = await self._fetched(uri)
            if (held := self._held.get(uri)) and fetched.iat < held.iat:
                raise Unavailable("the list is older than the one held")
            self._held[uri] = fetched
            self._failed_at.pop(uri, None)
        except (Unavailable, InvalidToken):
            self._failed_at[uri] = self._clock()  # what is held stays, as long as it may
        finally:
            del self._running[uri]
        for known in (self._held, self._failed_at):
            while len(known) > self._lists:
                known.popitem(last=False)

    async def _fetched(self, uri: str) -> _Held:
        response = await self._fetch(uri, headers={"Accept": "application/statuslist+jwt"})
        if response.status != 200:
            raise Unavailable("the answer is not a status list")
        keys = await self._jwks.keys()
        try:
            claims = self._verifier.authentic(response.body, keys, _MAX_TOKEN_BYTES)
        except UnknownKey:
            keys = await self._jwks.newer(keys)
            claims = self._verifier.authentic(response.body, keys, _MAX_TOKEN_BYTES)
        return self._checked(claims, uri, self._clock())

    def _checked(self, claims: Mapping[str, Any], uri: str, now: float) -> _Held:
        """§5.1, §8.3. Raises Unavailable for a list of something else, or of another time."""
        iat, exp, ttl = (instant(claims, name) for name in ("iat", "exp", "ttl"))
        if claims.get("sub") != uri or claims.get("iss", self._verifier.issuer) != self._verifier.issuer:
            raise Unavailable("the list is another")
        if iat is None or iat > now + self._verifier.leeway_seconds or (exp is not None and now >= exp):
            raise Unavailable("the list is not of this time")
        listed = StatusList.from_json(claims.get("status_list"))
        life = min(max(ttl or _DEFAULT_TTL_SECONDS, _TTL_SECONDS[0]), _TTL_SECONDS[1])
        fresh_until = min(iat, now) + life
        stale_until = fresh_until + self._stale_seconds
        # An old copy, or a clock ahead of the issuer's, must not make us ask for every token.
        ask_again_at = max(fresh_until, now + _PAUSE_SECONDS)
        return _Held(listed, iat, ask_again_at, stale_until if exp is None else min(stale_until, exp))
