"""Passwords: prepared, hashed with argon2id, and checked, a few at a time and beside the event loop.

Source: RFC 9106 (argon2id), OWASP Password Storage (the parameters), RFC 8265 §4 (OpaqueString). Rule: a check costs
the same whether or not there is anything to check against. Whose password it is, people.py knows.
"""

import asyncio
import base64
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from detent.core.errors import InvalidRequest, TemporarilyUnavailable
from detent.ports import Entropy

T = TypeVar("T")

MAX_BYTES: Final = 4096
_ARGON2ID: Final = "$argon2id$"
_SALT_BYTES, _HASH_BYTES = 16, 32
_NICENESS: Final = 10


class Profile(msgspec.Struct, frozen=True):
    """What a hash costs (RFC 9106 §3.1): memory in KiB, passes over it, and lanes that want a core each."""

    memory_kib: int
    passes: int
    lanes: int = 1


OWASP: Final = Profile(memory_kib=19 * 1024, passes=2)
CHEAP: Final = Profile(memory_kib=8, passes=1)  # protects nobody: for tests, which hash all the time


class Passwords:
    """`workers` hashes run at a time and `waiting` more may queue; whoever comes then is told to come back."""

    def __init__(self, profile: Profile = OWASP, *, workers: int | None = None, waiting: int = 32) -> None:
        workers = workers or max(1, (os.cpu_count() or 1) // 2)
        self._hasher = PasswordHasher(
            profile.passes, profile.memory_kib, profile.lanes, hash_len=_HASH_BYTES, salt_len=_SALT_BYTES
        )
        self._nobodys = _nobodys_hash(profile)
        self._places = threading.BoundedSemaphore(workers + waiting)
        self._threads = ThreadPoolExecutor(workers, "passwords", initializer=_after_requests)

    async def hash(self, password: str) -> str:
        """The hash to store. Raises InvalidRequest for what cannot be a password, and TemporarilyUnavailable."""
        secret = prepared(password)
        if secret is None:
            raise InvalidRequest(f"A password has 1 to {MAX_BYTES} bytes in UTF-8 and no control characters.")
        return await self._beside(lambda: self._hasher.hash(secret))

    async def verify(self, stored: str, password: str) -> bool:
        """Whether `stored` is this password's hash; "" never is, and takes as long.

        Raises TemporarilyUnavailable, with `retry_after`, when too many wait.
        """
        secret = prepared(password)
        return await self._beside(lambda: self._matches(stored, secret))

    def needs_rehash(self, stored: str) -> bool:
        """Whether `stored`, which a password was just found to match, was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _matches(self, stored: str, secret: bytes | None) -> bool:
        possible = secret is not None and stored.startswith(_ARGON2ID)
        try:
            self._hasher.verify(stored if possible else self._nobodys, secret or b"")
        except (VerificationError, InvalidHashError):
            return False
        return possible

    async def _beside(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise TemporarilyUnavailable("Too many people are signing in at once. Try again.", retry_after=1)
        try:
            job = self._threads.submit(work)
        except BaseException:
            self._places.release()
            raise
        job.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(job)


def prepared(password: str) -> bytes | None:
    """RFC 8265 §4.2: other spaces become the ASCII space, then NFC; the case stays. None for what cannot be one.

    Nothing is ever cut off: more than 4096 bytes, and control characters, are refused whole.
    """
    if not 1 <= len(password) <= MAX_BYTES:
        return None
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    text = unicodedata.normalize("NFC", spaced)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        return None
    encoded = text.encode()
    return encoded if len(encoded) <= MAX_BYTES else None


def new_password(entropy: Entropy) -> str:
    """A generated password: 80 random bits as letters and digits that can be read out."""
    return base64.b32encode(entropy.token_bytes(10)).decode().lower()


def _nobodys_hash(profile: Profile) -> str:
    """A well-formed hash that stands in where there is none; checking it costs what any check costs."""
    salt, digest = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES))
    return f"{_ARGON2ID}v=19$m={profile.memory_kib},t={profile.passes},p={profile.lanes}${salt}${digest}"


def _after_requests() -> None:
    """Let sign-ins yield the processor to requests. Linux alone gives a thread its own niceness."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
