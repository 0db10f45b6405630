"""What the chain over the audit log is made of: rows as they are stored, and the links that hold their digests.

A link names exactly the rows it holds, with a SHA-256 of each, and the hash of the link before it. It is kept as the
bytes that were tagged, so that no later release has to write them the same way again. No event is ever changed.
Who links and who checks is up to detent.audit.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from detent.core.ids import Instant

_LINK: Final = b"detent audit link 1\n"
_ANCHOR: Final = b"detent audit anchor 1\n"
ANCHOR: Final = 0  # the number under which an anchor stands, before every link


class AuditRow(msgspec.Struct, frozen=True):
    """An event as it is stored; `body` is its JSON, `seq` rises in the order of commits."""

    seq: int
    at: int
    name: str
    about: str
    body: str

    def digest(self) -> bytes:
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.astuple(self))).digest()


class AuditLink(msgspec.Struct, frozen=True):
    """A link as it is stored: `body` is the JSON of its `Linked`, `tag` the MAC of that. `number` counts from 1."""

    number: int
    body: str
    tag: bytes

    def hash(self) -> bytes:
        return hashlib.sha256(self.body.encode() + self.tag).digest()


class Linked(msgspec.Struct, frozen=True):
    """What a link says: which rows, by number and digest; after which link (its hash, empty for the first); who.

    `key` is the id of the key that tags it, `node` the process that made it.
    """

    number: int
    before: bytes
    rows: tuple[tuple[int, bytes], ...]
    at: Instant
    node: str
    key: int

    @property
    def last(self) -> int:
        """The row after which the next link goes on; `rows` are in order of commit."""
        return self.rows[-1][0]


class Pruned(msgspec.Struct, frozen=True):
    """What a chain hangs on whose first links were pruned: the last of those, its hash and its last event."""

    number: int
    hash: bytes
    last: int
    key: int


def anchored(pruned: Pruned, key: bytes) -> AuditLink:
    body = msgspec.json.encode(pruned)
    return AuditLink(ANCHOR, body.decode(), hmac.digest(key, _ANCHOR + body, "sha256"))


def read_anchor(anchor: AuditLink, keys: Mapping[int, bytes]) -> Pruned | None:
    """What it says, if it was tagged with one of these keys."""
    try:
        pruned = msgspec.json.decode(anchor.body, type=Pruned)
    except msgspec.MsgspecError:
        return None
    key = keys.get(pruned.key)
    tag = hmac.digest(key, _ANCHOR + anchor.body.encode(), "sha256") if key else b""
    return pruned if hmac.compare_digest(tag, anchor.tag) and tag else None


def tagged(linked: Linked, key: bytes) -> AuditLink:
    body = msgspec.json.encode(linked)
    return AuditLink(linked.number, body.decode(), _tag(body, key))


def is_tagged(link: AuditLink, key: bytes) -> bool:
    return hmac.compare_digest(_tag(link.body.encode(), key), link.tag)


def read_link(link: AuditLink) -> Linked | None:
    """What it says, or None where it says nothing that a link can; proves nothing."""
    try:
        linked = msgspec.json.decode(link.body, type=Linked)
    except msgspec.MsgspecError:
        return None
    return linked if linked.rows and linked.number == link.number else None


def _tag(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _LINK + body, "sha256")
