"""`DatabaseKeys`: the keys of all nodes in the store they share, each wrapped under a key-encryption key.

Any node may rotate: what it does is one commit that counts one on, and of two that do it at once the second finds
out and looks again. Each node looks once a second whether the count is another one; a key is used only after every
node could know it (ring.py), and whoever names one before it is known waits for a look of its own.
What opens a wrapped key is kek.py's. A store that turns bad under a running server leaves it the keys it has.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final, Self

from detent.core.api import SigningAlg
from detent.core.changes import Part, TurnKeys, changed
from detent.core.encryption import OwnAlg
from detent.core.errors import Conflict, KeyUnknown, StoreUnavailable
from detent.core.ids import Instant
from detent.core.wrapped_key import WrappedKeys
from detent.keys.held import NEEDED, SCHEDULE, HeldKeys, Plans, Turn, refuse_incomplete, turn_of
from detent.keys.kek import Keks
from detent.keys.material import SigningKey
from detent.keys.ring import KeysError, Purpose, RingKey, Rotation, Schedule, plan_revocation, plan_rotation
from detent.keys.stored import StoredKey, checked
from detent.ports import Clock, Directory, Store

log = logging.getLogger("detent.keys")

LOOK_EVERY: Final = 1.0  # seconds
_ATTEMPTS: Final = 10
_MOST_WAITING: Final = 16  # requests; who invents keys must not fill the house with such that wait
_WHERE: Final = "The store"
_looked_for: Final = ContextVar("_looked_for", default=False)  # whether this request waited for a look already


class DatabaseKeys(HeldKeys):
    """Implements ports.Keys, and rotates; for one loop. `follow` is what keeps it up to date."""

    def __init__(self, store: Store, directory: Directory, keks: Keks, clock: Clock, schedule: Schedule) -> None:
        super().__init__(clock, schedule)
        self._store = store
        self._directory = directory
        self._keks = keks
        self._loop = asyncio.get_running_loop()
        self._version = -1
        self._looking: asyncio.Task[None] | None = None
        self._may_look_from = 0.0
        self._begun = self._ended = self._waiting = 0  # looks, looks, requests
        self._wanted: set[Purpose] = set()  # algorithms that something was to be signed with
        self._complaint = ""

    @classmethod
    async def open(
        cls, store: Store, directory: Directory, keks: Keks, clock: Clock, *, schedule: Schedule = SCHEDULE
    ) -> Self:
        """Read the keys and make those that are missing.

        Raises KeysError if the key-encryption key is missing or another one, StoreUnavailable.
        """
        keks.first()
        keys = cls(store, directory, keks, clock, schedule)
        await keys._make_missing(NEEDED)
        return keys

    async def provide(self, alg: SigningAlg | OwnAlg) -> None:
        if not self._provided(alg):
            await self._make_missing((alg,))

    def missed(self) -> None:
        if not _looked_for.get() and self._waiting < _MOST_WAITING:
            raise KeyUnknown

    @asynccontextmanager
    async def look_again(self) -> AsyncIterator[None]:
        """One look for all who wait for it, a second after the last one: nobody is refused for being early."""
        due = self._begun + 1  # what is under way may have read too soon
        self._waiting += 1
        try:
            while self._ended < due:
                if self._looking is None:
                    self._looking = asyncio.create_task(self._next_look())
                    self._looking.add_done_callback(self._looked)
                await asyncio.shield(self._looking)
        finally:
            self._waiting -= 1
        token = _looked_for.set(True)
        try:
            yield
        finally:
            _looked_for.reset(token)

    def _signer(self, alg: SigningAlg) -> SigningKey:
        """The first key of an algorithm is made here if nobody made it before."""
        if alg not in self._now().signers:
            self._wanted.add(alg)
        return super()._signer(alg)

    async def follow(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if (await self._store.installation()).keys_version != self._version:
                    await self._look()
            except StoreUnavailable as error:
                log.debug("the keys are looked at again later: %s", error)

    async def rotate(self, purpose: Purpose, *, at_once: bool = False) -> RingKey:
        """Let the next key take over; the answer's `use_from` says when. For `at_once` see `ring.plan_rotation`."""

        def plans(now: Instant) -> dict[Purpose, Rotation]:
            self._renew(now)  # whatever becomes of the plan: another node may have been first
            return {purpose: plan_rotation(self._ring(), purpose, self._schedule, now, at_once=at_once)}

        turn = await self._turn(plans)
        return (turn.moved or turn.made)[0][0]

    async def revoke(self, kid: str) -> RingKey:
        """Drop this signing key at once; the answer is the one that signs in its place. See `ring.plan_revocation`."""

        def plans(now: Instant) -> dict[Purpose, Rotation]:
            self._renew(now)
            return dict([plan_revocation(self._ring(), kid, now)])

        turn = await self._turn(plans)
        return self._current(turn.drop[0].purpose)

    async def rewrap(self) -> int:
        """Wrap every key under the first key-encryption key of the file; how many were under another one.

        Keys are taken over one by one, so that it can be broken off and begun again at any point.
        """
        done, first = 0, self._keks.first()
        while True:
            found = await self._load()
            old = [key for key in found.keys if key.kek != first]
            if not old:
                return done
            done += await self._put(found.version, Turn((), tuple(self._keks.unwrap(old[:1])), ()))

    @classmethod
    async def bring(
        cls, store: Store, directory: Directory, keks: Keks, clock: Clock, keys: Iterable[StoredKey], *with_them: Part
    ) -> None:
        """Put these keys into a store that has none, and do that with them, in one commit. Raises Conflict."""
        new = cls(store, directory, keks, clock, SCHEDULE)
        turn = Turn(tuple((each.key, each.material) for each in keys), (), ())
        if not await new._put(0, turn, *with_them):
            raise Conflict

    async def _make_missing(self, purposes: Iterable[Purpose]) -> None:
        wanted = tuple(purposes)
        await self._turn(lambda now: self._lacking(wanted, now))

    async def _turn(self, plans: Plans) -> Turn:
        """Read, decide, write in one commit; and again if another node was first. Raises Conflict, KeysError."""
        for _ in range(_ATTEMPTS):
            version, now = (await self._load()).version, self._clock.now()
            turn = await asyncio.to_thread(turn_of, plans(now), dict(self._stored), now)
            if await self._put(version, turn):
                return turn
        raise Conflict

    async def _put(self, version: int, turn: Turn, *with_it: Part) -> bool:
        """Whether it was done: not if any key was changed since this version."""
        if turn != Turn((), (), ()):
            put = tuple(self._keks.wrap(key, material) for key, material in (*turn.made, *turn.moved))
            drop = tuple((key.purpose, key.id) for key in turn.drop)
            try:
                await self._store.apply(changed(TurnKeys(version, put, drop), *with_it))
            except Conflict:
                return False
            await self._load()
        self._renew(self._clock.now())
        return True

    async def _load(self) -> WrappedKeys:
        """Read what is in the store and open what is new in it. Raises KeysError, StoreUnavailable."""
        found = await self._directory.wrapped_keys()
        before = {each.stamp: each for each in self._stored.values()}
        new = [key for key in found.keys if key not in before]
        opened = self._keks.unwrap(new)
        read = [checked(stamp, key, material) for stamp, (key, material) in zip(new, opened, strict=True)]
        kept = [before[key] for key in found.keys if key in before]
        self._stored = {each.name: each for each in (*kept, *read)}
        self._version = found.version
        return found

    async def _next_look(self) -> None:
        if not self._wanted:
            await asyncio.sleep(self._may_look_from - self._loop.time())
        self._begun += 1
        await self._look()
        self._ended = self._begun

    async def _look(self) -> None:
        """Take in what changed, all of it or nothing. Raises StoreUnavailable."""
        before, version = self._stored, self._version
        try:
            await self._load()
            refuse_incomplete(self._stored, _WHERE)
        except KeysError as error:
            self._stored, self._version = before, version
            if str(error) != self._complaint:
                log.error("The keys cannot be read, so those in memory stay in force. %s", error)
            self._complaint = str(error)
        else:
            self._complaint = ""
            self._renew(self._clock.now())
            if self._wanted:
                await self._make_missing(self._wanted)
                self._wanted.clear()

    def _looked(self, look: asyncio.Task[None]) -> None:
        self._looking = None
        self._may_look_from = self._loop.time() + LOOK_EVERY
        if not look.cancelled():
            look.exception()  # told to whoever waits
