"""What others do, to compare with: the same table with a policy, or a row, taken away.

`strict`: every family rotates and every second use of a token ends it. `plain window`: a token may be used again
for 60 s, and then ends the family. Neither knows retry keys. `detent` is the table as it is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from detent.core.family import Decision, Family, Presented, Repeat, Supersede, Surroundings, decide
from detent.core.ids import Instant, Seconds
from detent.core.policy import RefreshPolicy
from detent.grants import refresh_token

Deciding = Callable[[Family, Presented, RefreshPolicy, Surroundings, Instant], Decision]
WINDOW: Final = Seconds(60)


def hardened(policy: RefreshPolicy, overlap: int) -> RefreshPolicy:
    return msgspec.structs.replace(policy, rotates="always", on_reuse="revoke", overlap=Seconds(overlap))


def strict(
    family: Family, presented: Presented, policy: RefreshPolicy, around: Surroundings, now: Instant
) -> Decision:  # fmt: skip
    return decide(family, msgspec.structs.replace(presented, retry_key=None), hardened(policy, 0), around, now)


def plain_window(
    family: Family, presented: Presented, policy: RefreshPolicy, around: Surroundings, now: Instant
) -> Decision:
    without_key = msgspec.structs.replace(presented, retry_key=None)
    decision = decide(family, without_key, hardened(policy, WINDOW), around, now)
    if isinstance(decision, Supersede):
        return strict(family, presented, policy, around, now)
    if isinstance(decision, Repeat):
        return Repeat(None, family, bare=False)
    return decision


POLICIES: Final[dict[str, tuple[Deciding, Callable[[RefreshPolicy], RefreshPolicy]]]] = {
    "detent": (decide, lambda policy: policy),
    "strict": (strict, lambda policy: hardened(policy, 0)),
    "plain window": (plain_window, lambda policy: hardened(policy, WINDOW)),
}


@contextmanager
def deciding(decision: Deciding) -> Iterator[None]:
    """The server in this process decides so until the block ends."""
    names = vars(refresh_token)
    before = names["decide"]
    names["decide"] = decision
    try:
        yield
    finally:
        names["decide"] = before
