"""How many sign-ins may fail before the next one is refused unheard: leaky buckets, refilled all the time.

Source: RFC 6749 §10.10, RFC 9700 §4.13, NIST SP 800-63B §5.2.2; the reasons are docs/decisions/0018. Rules: a guess
counts before it is checked and stays counted only if it failed; nobody's failures lock out the owner of an account in
a browser that it knows. Counters are in memory, per process, in tables of a fixed number of places, and a restart
forgets them. Names are kept as keyed digests: people type passwords into the field for the name.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from detent.core.errors import SlowDown, TemporarilyUnavailable
from detent.core.exchange import network_of
from detent.core.ids import Instant, Seconds
from detent.core.latest import Latest
from detent.core.policy import HOUR, MINUTE
from detent.ports import Entropy

PLACES: Final = 1 << 16  # for each bound
WAITING: Final = 128  # at one bucket; each is woken whenever a guess is over

Bound = Literal["account_here", "address", "network", "account", "everywhere"]


class Allowance(msgspec.Struct, frozen=True):
    """This many failures at once (1 or more), and as many again in `refill` seconds, evenly."""

    failures: int
    refill: Seconds


class Allowances(msgspec.Struct, frozen=True):
    """What may fail of one account at one address (a /32 or /64), of all accounts at one address and in one network
    (a /24 or /48), and of one account at all addresses. Beyond `everywhere`, which is of all accounts at all
    addresses, nobody is refused: it only gives the alarm.
    """

    account_here: Allowance = Allowance(10, Seconds(15 * MINUTE))
    address: Allowance = Allowance(50, Seconds(15 * MINUTE))
    network: Allowance = Allowance(500, Seconds(15 * MINUTE))
    account: Allowance = Allowance(300, Seconds(HOUR))
    everywhere: Allowance = Allowance(1000, Seconds(15 * MINUTE))


class Bucket:
    """What failed of late, in exact units: a failure is `refill` of them, and `failures` flow off each second."""

    __slots__ = ("_allowance", "_one_over", "_quiet_until", "_spent", "_spent_at", "_under_way", "_waiting", "key")

    def __init__(self, key: Hashable, allowance: Allowance, now: Instant) -> None:
        self.key = key
        self._allowance = allowance
        self._spent = 0
        self._spent_at = now
        self._under_way = 0
        self._waiting = 0
        self._one_over: asyncio.Event | None = None
        self._quiet_until = now

    @property
    def is_idle(self) -> bool:
        """Whether forgetting it loses nothing."""
        return not self._under_way and not self._spent

    @property
    def seconds_to_wait(self) -> int:
        """How long no guess is let through, whatever becomes of those under way."""
        return -(min(0, self._left) // self._allowance.failures)

    @property
    def is_full(self) -> bool:
        """Whether there is no room before one that is under way is over."""
        return self._left < self._under_way * self._allowance.refill

    def flow(self, now: Instant) -> None:
        self._spent = max(0, self._spent - max(0, now - self._spent_at) * self._allowance.failures)
        self._spent_at = now

    def enter(self) -> None:
        self._under_way += 1

    def fail(self, now: Instant) -> bool:
        """Count a failure; whether the bucket ran dry by it, said once in the time of a refill."""
        self._spent += self._allowance.refill
        if self._left >= 0 or now < self._quiet_until:
            return False
        self._quiet_until = Instant(now + self._allowance.refill)
        return True

    def leave(self) -> None:
        self._under_way -= 1
        if self._one_over:
            self._one_over.set()
            self._one_over = None

    async def one_over(self) -> None:
        """Wait until a guess under way is over. Raises TemporarilyUnavailable if too many wait for that."""
        if self._waiting >= WAITING:
            raise TemporarilyUnavailable("Too many sign-ins at once. Try again.", retry_after=1)
        self._one_over = self._one_over or asyncio.Event()
        self._waiting += 1
        try:
            await self._one_over.wait()
        finally:
            self._waiting -= 1

    @property
    def _left(self) -> int:
        """What is left beside the next failure; below 0 there is no room for that."""
        return (self._allowance.failures - 1) * self._allowance.refill - self._spent


class _Table:
    """The buckets of one bound, the one longest untouched first."""

    def __init__(self, allowance: Allowance, places: int) -> None:
        self._allowance = allowance
        self._buckets: Latest[Hashable, Bucket] = Latest(places)

    def find(self, key: Hashable, now: Instant) -> Bucket:
        """The bucket, or a new one that takes no place yet."""
        return self._buckets.get(key) or Bucket(key, self._allowance, now)

    def enter(self, bucket: Bucket) -> None:
        bucket.enter()
        self._buckets[bucket.key] = bucket

    def leave(self, bucket: Bucket) -> None:
        bucket.leave()
        if bucket.is_idle and self._buckets.get(bucket.key) is bucket:
            del self._buckets[bucket.key]


class Guess:
    """One sign-in under way. It counts until it is over, and after that only if it failed."""

    def __init__(self, buckets: dict[Bound, Bucket], now: Instant) -> None:
        self._buckets = buckets
        self._now = now

    def failed(self) -> list[Bound]:
        """Which bounds ran dry by it, each said once in the time of a refill."""
        return [bound for bound, bucket in self._buckets.items() if bucket.fail(self._now)]


class Throttle:
    def __init__(self, entropy: Entropy, allowances: Allowances = Allowances(), *, places: int = PLACES) -> None:
        self._key = entropy.token_bytes(32)
        self._tables: dict[Bound, _Table] = {
            "account_here": _Table(allowances.account_here, places),
            "address": _Table(allowances.address, places),
            "network": _Table(allowances.network, places),
            "account": _Table(allowances.account, places),
        }
        self._everywhere = Bucket("", allowances.everywhere, Instant(0))

    @asynccontextmanager
    async def guess(self, account: str, peer: str, now: Instant, *, known: bool) -> AsyncIterator[Guess]:
        """A guess at this account, from a browser `known` to it or not, for as long as it is under way.

        Raises SlowDown: not even the right password would be let in.
        """
        buckets = await self._with_room(self._keys(account, peer, known), now)
        for bound, bucket in buckets.items():
            self._tables[bound].enter(bucket)
        try:
            self._everywhere.flow(now)
            yield Guess(buckets | {"everywhere": self._everywhere}, now)
        finally:
            for bound, bucket in buckets.items():
                self._tables[bound].leave(bucket)

    async def _with_room(self, keys: dict[Bound, Hashable], now: Instant) -> dict[Bound, Bucket]:
        buckets = self._found(keys, now)
        for bucket in buckets.values():
            bucket.flow(now)
        while full := _full(buckets):
            await full.one_over()
            buckets = self._found(keys, now)  # those that became idle were forgotten
        return buckets

    def _found(self, keys: dict[Bound, Hashable], now: Instant) -> dict[Bound, Bucket]:
        return {bound: self._tables[bound].find(key, now) for bound, key in keys.items()}

    def _keys(self, account: str, peer: str, known: bool) -> dict[Bound, Hashable]:
        name = blake2b(account.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()
        address = network_of(peer, 32, 64)
        keys: dict[Bound, Hashable] = {"account_here": (name, known, address), "account": (name, known)}
        if not known:
            keys |= {"address": address, "network": network_of(peer)}
        return keys


def _full(buckets: dict[Bound, Bucket]) -> Bucket | None:
    """One in which there is no room just now. Raises SlowDown if one has run dry."""
    if wait := max(bucket.seconds_to_wait for bucket in buckets.values()):
        raise SlowDown(
            f"Too many sign-ins have failed. Try again in {wait} seconds, or sign in with a browser in which you have "
            "signed in before.",
            retry_after=wait,
        )
    return next((bucket for bucket in buckets.values() if bucket.is_full), None)
