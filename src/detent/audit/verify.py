"""What can be said of the audit log: is it whole, and if not, which rows were edited, removed or slipped in.

Walks the chain from its first link, in portions, and compares each row with the digest that its link holds. What was
cut off at the end together with its links shows against a head that was kept elsewhere (`head`, the log lines of
chain.py). An event that was just committed is not linked yet: that is counted, and is no finding.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final, Literal

import msgspec

from detent.core.audit import ANCHOR, AuditLink, AuditRow, Linked, is_tagged, read_anchor, read_link
from detent.ports import Directory, Keys

Kind = Literal["edited", "missing", "inserted", "gap", "bad_link", "missing_link", "unknown_key", "other_head"]
_PORTION: Final = 200
_BEFORE_ALL: Final = -(2**63)  # nobody but an intruder numbers an event below 1


class Head(msgspec.Struct, frozen=True):
    """The newest link that somebody saw: `number:hash`, as `detent audit verify` prints it."""

    number: int
    hash: str

    @property
    def text(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head | None":
        number, _, digest = text.partition(":")
        fits = number.isascii() and number.isdecimal() and len(number) < 19 and len(digest) == 64
        return cls(int(number), digest.lower()) if fits else None


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong. `number` is that of a link for kinds that are about one, else that of an event."""

    kind: Kind
    number: int
    sentence: str


class Report(msgspec.Struct, frozen=True):
    """`events` are those linked, `unlinked` those that wait for their link; `head` is None while there is no link."""

    links: int
    events: int
    unlinked: int
    head: Head | None
    findings: tuple[Finding, ...]

    @property
    def whole(self) -> bool:
        return not self.findings


async def verify(directory: Directory, keys: Keys, head: Head | None = None) -> Report:
    walk = _Walk(directory, keys.audit_keys().keys)
    await walk.along(head)
    unlinked = await walk.to_the_end()
    return Report(walk.links, walk.events, unlinked, walk.head, tuple(walk.findings))


class _Walk:
    """How far it has come: `head` is the last link, `position` the last event that a link spoke of.

    `_seen` is the highest number up to which every row was looked at, `_strays` those of them that no link had so
    far: on a backend whose numbers are not in the order of commits, the link that has one may be a later one.
    """

    def __init__(self, directory: Directory, keys: Mapping[int, bytes]) -> None:
        self._directory = directory
        self._keys = keys
        self.findings: list[Finding] = []
        self.links = self.events = self.position = 0
        self.head: Head | None = None
        self._known = True  # what the link before said; else nothing can be said of the events up to this one
        self._seen = _BEFORE_ALL
        self._strays: dict[int, int] = {}  # and next to which link

    async def along(self, wanted: Head | None) -> None:
        number = ANCHOR
        for anchor in await self._directory.audit_links(after=ANCHOR - 1, limit=1):
            if anchor.number == ANCHOR:
                self._hang_on(anchor, wanted)
        while links := await self._directory.audit_links(after=number, limit=_PORTION):
            for link in links:
                await self._link(link)
                if wanted and link.number == wanted.number and link.hash().hex() != wanted.hash:
                    self._found("other_head", link.number, f"Link {link.number} is not the one that was noted.")
            number = links[-1].number
        if wanted and (self.head is None or self.head.number < wanted.number):
            self._found("other_head", wanted.number, f"Link {wanted.number} was noted and is gone: the log was cut.")

    def _hang_on(self, anchor: AuditLink, wanted: Head | None) -> None:
        """Go on where the log was pruned."""
        pruned = read_anchor(anchor, self._keys)
        if pruned is None:
            self._found("bad_link", ANCHOR, "The anchor, which says up to where the log was pruned, is not ours.")
            return
        self.head, self.position = Head(pruned.number, pruned.hash.hex()), pruned.last
        if wanted and (wanted.number < pruned.number or (wanted.number == pruned.number and wanted != self.head)):
            self._found("other_head", wanted.number, f"Link {wanted.number} was pruned: nothing proves what it was.")

    async def to_the_end(self) -> int:
        """How many events wait for their link; what neither has a link nor waits for one was slipped in."""
        waiting, after = 0, self.position
        while rows := await self._directory.audit_rows(after=after, limit=_PORTION):
            for row in rows:
                self._gap_before(row.seq)
                self._strays.pop(row.seq, None)
            waiting, after = waiting + len(rows), rows[-1].seq
        for seq, number in self._strays.items():
            self._found("inserted", seq, f"Event {seq} was slipped in: link {number} lacks it.")
        return waiting

    async def _link(self, link: AuditLink) -> None:
        before, self.head = self.head, Head(link.number, link.hash().hex())
        self.links += 1
        expected = before.number + 1 if before else 1
        for number in range(expected, min(link.number, expected + _PORTION)):
            self._found("missing_link", number, f"Link {number} is gone.")
        follows, self._known = self._known and link.number == expected, False
        linked = self._authentic(link)
        if linked is None:
            return
        if link.number == expected and linked.before.hex() != (before.hash if before else ""):
            self._found("bad_link", link.number, f"Link {link.number} does not follow the link before it.")
        await self._compare(linked, follows)
        self._known = True

    def _authentic(self, link: AuditLink) -> Linked | None:
        """What the link says, if we tagged it."""
        linked = read_link(link)
        key = self._keys.get(linked.key) if linked else None
        if linked and key is None:
            self._found(
                "unknown_key",
                link.number,
                f"Link {link.number} was tagged with key {linked.key} of the audit log, which is not in the key "
                "directory: nothing proves what it says.",
            )
        elif linked is None or key is None or not is_tagged(link, key):
            self._found("bad_link", link.number, f"Link {link.number} was altered: its tag is not ours.")
            return None
        return linked

    async def _compare(self, linked: Linked, follows: bool) -> None:
        """Each row that the link has, and each between them; those up to the first only if all before is known."""
        expected = dict(linked.rows)
        self.events += len(expected)
        first, last = min(expected), max(expected)
        if not follows:
            self.position = self._seen = max(self._seen, first - 1)
        async for row in self._rows(min(self._seen, first - 1), last):
            digest = expected.pop(row.seq, None)
            if digest is None and row.seq > self._seen:
                self._strays[row.seq] = linked.number
            elif digest is not None and digest != row.digest():
                self._found("edited", row.seq, f"Event {row.seq} was edited after link {linked.number} was made.")
        for seq in expected:
            self._found("missing", seq, f"Event {seq} is gone; link {linked.number} holds it.")
        for seq, _ in linked.rows:
            self._strays.pop(seq, None)
            self._gap_before(seq)
        self._seen = max(self._seen, last)

    def _gap_before(self, seq: int) -> None:
        """A number that neither a link nor a row has belonged to an event that was removed before it was linked."""
        if self._directory.gapless and seq > self.position + 1:
            self._found("gap", self.position + 1, f"There is no event from {self.position + 1} to {seq - 1}.")
        self.position = seq

    async def _rows(self, after: int, until: int) -> AsyncIterator[AuditRow]:
        while rows := await self._directory.audit_rows_between(after, until, limit=_PORTION):
            for row in rows:
                yield row
            after = rows[-1].seq

    def _found(self, kind: Kind, number: int, sentence: str) -> None:
        self.findings.append(Finding(kind, number, sentence))
