"""What is in force in one second: who signs, what is published, which secrets verify.

Put together once per second from the stored keys and their states, so that a request only looks up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from detent.core.ids import Instant
from detent.keys.material import DecryptionKey, SigningKey
from detent.keys.ring import PURPOSES, KeyState, Purpose, Schedule, states
from detent.keys.stored import StoredKey, name_of
from detent.ports import SecretKeys


class View(msgspec.Struct, frozen=True):
    """`signers` by algorithm; in `published` the key that signs comes first, for some clients look no further. `told`
    is what was published so far, by algorithms.
    """

    at: Instant
    states: tuple[KeyState, ...]
    signers: dict[str, SigningKey]
    published: tuple[SigningKey | DecryptionKey, ...]
    handle: SecretKeys
    pepper: SecretKeys
    audit: SecretKeys
    told: dict[frozenset[str], list[Mapping[str, Any]]] = {}

    def public_jwks(self, algs: frozenset[str]) -> Sequence[Mapping[str, Any]]:
        jwks = self.told.get(algs)
        if jwks is None:
            jwks = self.told[algs] = [key.public_jwk for key in self.published if key.alg in algs]
        return jwks


def view_of(stored: Mapping[str, StoredKey], schedule: Schedule, now: Instant) -> View:
    """The stored keys must hold a handle key, a pepper and a key of the audit log."""
    known = states((each.key for each in stored.values()), schedule, now)
    live = [(each, stored[name_of(each.key)]) for each in known if each.state != "expired"]
    live.sort(key=lambda pair: (PURPOSES.index(pair[0].key.purpose), pair[0].state != "current"))
    pairs = [(state.state, key.pair) for state, key in live if key.pair]
    return View(
        now,
        known,
        {pair.alg: pair for state, pair in pairs if state == "current" and isinstance(pair, SigningKey)},
        tuple(pair for _, pair in pairs),
        _secrets(live, "handle"),
        _secrets(live, "pepper"),
        _secrets(live, "audit"),
    )


def _secrets(live: Sequence[tuple[KeyState, StoredKey]], purpose: Purpose) -> SecretKeys:
    """The current one was sorted to the front."""
    keys = {int(stored.key.id): stored.material for _, stored in live if stored.key.purpose == purpose}
    return SecretKeys(next(iter(keys)), keys)
