"""Token Status List (draft-ietf-oauth-status-list-20): an API that verifies alone sees that an authorization ended.

Each authorization is given a number at its birth; its access tokens tell where that stands in a published, signed
list. Leaves what "ended" is to the store's `ended`, and reading a list to resource_server/status_list.py.
Rule: two authorizations never share a number, whatever process or restored store gives it out.
"""

import asyncio
import hashlib
import re
import zlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from detent.core.api import SigningAlg
from detent.core.authorization import Authorization
from detent.core.base64url import base64url
from detent.core.changes import Changes, InsertRecord, Record, ReplaceRecord
from detent.core.errors import Conflict, InvalidRequest, NotFound, TemporarilyUnavailable
from detent.core.exchange import Request, Response
from detent.core.ids import Instant, Seconds
from detent.core.latest import Latest
from detent.core.policy import HOUR, MINUTE
from detent.ports import Clock, Directory, Keys, Store
from detent.registry.feature import Feature
from detent.registry.routes import Route
from detent.web.respond import SAFE

DEFAULT_TTL: Final = Seconds(MINUTE)
LIST_LIFE: Final = Seconds(HOUR)  # how long after its making an API may still believe a list that it cannot renew
LIST_SIZE: Final = 1 << 13  # numbers in a list: as many rows are looked at whenever it is made anew
BLOCK: Final = 1 << 10  # numbers that a process claims in one write
PATH: Final = "/oauth/status-lists/"
RECORD_KIND: Final = "status_list_numbers"
LIST_ALG: Final[SigningAlg] = "RS256"
_RESTORED_AT: Final = 40  # bits: numbers given out after a restore never meet those that it may have forgotten
_NEVER: Final = Instant(1 << 53)
_ATTEMPTS: Final = 64  # of as many processes that start at once, each claims a block
_HELD: Final = 1024
_NAME: Final = re.compile("0|[1-9][0-9]{0,11}")


class Numbers:
    """Gives every authorization a number of its own, from blocks that are claimed by compare-and-swap."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._free = range(0)
        self._claiming = asyncio.Lock()
        self._ends: dict[int, int] = {}  # by restore epoch: the first number that nobody has claimed, as last seen

    async def next(self) -> int:
        """Raises StoreUnavailable, and TemporarilyUnavailable if others keep claiming at the same moment."""
        epoch = (await self._store.installation()).restore_epoch
        if not self._fresh(epoch):
            async with self._claiming:
                if not self._fresh(epoch):
                    self._free = await self._claimed(epoch)
        number, self._free = self._free[0], self._free[1:]
        return number

    async def given_out(self, number: int) -> bool:
        """Whether the number lies in a block that was claimed."""
        epoch = number >> _RESTORED_AT
        if number >= self._ends.get(epoch, 0) and (record := await self._store.record(RECORD_KIND, str(epoch))):
            self._ends[epoch] = int(record.value)
        return number < self._ends.get(epoch, 0)

    def _fresh(self, epoch: int) -> bool:
        return bool(self._free) and self._free[0] >> _RESTORED_AT == epoch

    async def _claimed(self, epoch: int) -> range:
        for _ in range(_ATTEMPTS):
            found = await self._store.record(RECORD_KIND, str(epoch))
            first = int(found.value) if found else epoch << _RESTORED_AT
            end, version = first + BLOCK, found.version + 1 if found else 1
            record = Record(RECORD_KIND, str(epoch), b"%d" % end, _NEVER, version)
            try:
                await self._store.apply(Changes((ReplaceRecord(record) if found else InsertRecord(record),)))
            except Conflict:
                continue  # another process claimed this block
            self._ends[epoch] = end
            return range(first, end)
        raise TemporarilyUnavailable("Too many sign-ins begin at this moment; try again.", retry_after=1)


class StatusClaim:
    """The `status` claim of an access token (draft §6.1, §6.2)."""

    claim = "status"

    def __init__(self, issuer: str, numbers: Numbers) -> None:
        self._issuer = issuer
        self._numbers = numbers

    async def born(self, authorization: Authorization) -> Authorization:
        return msgspec.structs.replace(authorization, number=await self._numbers.next())

    def told(self, authorization: Authorization) -> Any:
        if authorization.number is None:
            return None
        number, index = divmod(authorization.number, LIST_SIZE)
        return {"status_list": {"idx": index, "uri": uri_of(self._issuer, number)}}


class Made(msgspec.Struct, frozen=True):
    """A Status List Token, and when the store was asked for it."""

    token: bytes
    etag: str
    made_at: Instant


class HistoryNotKept(InvalidRequest):
    status = 501


class StatusListEndpoint:
    """Publishes the lists (draft §8.1, §8.2). One list is read once for all who ask together, and held for a while."""

    def __init__(
        self, issuer: str, numbers: Numbers, directory: Directory, keys: Keys, clock: Clock, ttl: Seconds
    ) -> None:
        self._issuer = issuer
        self._numbers = numbers
        self._directory = directory
        self._keys = keys
        self._clock = clock
        self._ttl = ttl
        self._hold = max(1, ttl // 2)
        self._held: Latest[int, Made] = Latest(_HELD)
        self._making: dict[int, asyncio.Task[Made]] = {}

    def route(self) -> Route:
        return Route(PATH + "{}", ("GET",), self.handle, cors="everybody")

    async def handle(self, request: Request) -> Response:
        number = await self._asked(request)
        now = self._clock.now()
        made = self._held.get(number)
        if made is None or not 0 <= now - made.made_at < self._hold:
            made = await asyncio.shield(self._making.get(number) or self._start(number, now))
        max_age = max(0, self._ttl - (now - made.made_at))
        headers = (("cache-control", f"public, max-age={max_age}"), ("etag", made.etag), *SAFE)
        if made.etag in request.headers.get("if-none-match", ""):
            return Response(304, headers=headers)
        return Response(200, made.token, (("content-type", "application/statuslist+jwt"), *headers))

    async def _asked(self, request: Request) -> int:
        """Which list. Raises NotFound for one that no authorization is in, HistoryNotKept for a past one (§8.4)."""
        name = request.path.removeprefix(PATH)
        number = int(name) if _NAME.fullmatch(name) else None
        if number is None or not await self._numbers.given_out(number * LIST_SIZE):
            raise NotFound("There is no such status list.")
        if any(pair.partition("=")[0] == "time" for pair in request.query.split("&")):
            raise HistoryNotKept("Status lists of the past are not kept; leave out the parameter time.")
        return number

    def _start(self, number: int, now: Instant) -> asyncio.Task[Made]:
        def made(task: asyncio.Task[Made]) -> None:
            del self._making[number]
            if not task.cancelled():
                task.exception()  # told to whoever still waits

        task = self._making[number] = asyncio.create_task(self._make(number, now))
        task.add_done_callback(made)
        return task

    async def _make(self, number: int, now: Instant) -> Made:
        first = number * LIST_SIZE
        ended = await self._directory.ended(range(first, first + LIST_SIZE), now)
        claims = {
            "iss": self._issuer,
            "sub": uri_of(self._issuer, number),
            "iat": now,
            "exp": now + LIST_LIFE,
            "ttl": self._ttl,
            "status_list": status_list((each - first for each in ended), LIST_SIZE),
        }
        token = (await self._keys.sign(LIST_ALG, "statuslist+jwt", claims)).encode()
        made = self._held[number] = Made(token, f'"{hashlib.sha256(token).hexdigest()[:32]}"', now)
        return made


def status_list(invalid: Iterable[int], size: int) -> dict[str, Any]:
    """Draft §4.1, §4.2: one bit for each of `size` tokens, set for those at these indices, from the lowest bit on."""
    bits = bytearray(size // 8)
    for index in invalid:
        bits[index // 8] |= 1 << index % 8
    lst = base64url(zlib.compress(bits, 9))
    return {"bits": 1, "lst": lst}


def uri_of(issuer: str, number: int) -> str:
    return f"{issuer}{PATH.removeprefix('/')}{number}"


def feature(issuer: str, store: Store, directory: Directory, keys: Keys, clock: Clock, ttl: Seconds) -> Feature:
    numbers = Numbers(store)
    endpoint = StatusListEndpoint(issuer, numbers, directory, keys, clock, ttl)
    return Feature(
        "status-list",
        ("draft-ietf-oauth-status-list-20",),
        marks=(StatusClaim(issuer, numbers),),
        routes=(endpoint.route(),),
    )
