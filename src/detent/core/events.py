"""What happened, in the past tense: frozen, coarse, without secrets.

Notable events live in the family's own row and in the audit log; an ordinary rotation is none of them.
The sentences that people read are made from these in one place, `told`.
"""

from typing import Final, Literal

import msgspec

from detent.core.ids import Instant

EventName = Literal[
    "family_created", "replay_tolerated", "narrowed", "superseded", "store_behind", "reuse_detected", "reuse_refused",
    "suspected", "revoked", "code_replayed", "client_added", "client_updated", "client_removed",
    "client_secret_rotated", "api_added", "api_updated", "api_removed", "user_added", "user_updated",
    "user_removed", "cut_off_raised", "signed_in", "sign_in_failed", "sign_in_throttled", "signed_out",
    "consent_given", "consent_withdrawn", "webhook_added", "webhook_removed", "webhook_enabled", "webhook_disabled",
    "webhook_secret_rotated", "log_pruned", "logout_undelivered",
]  # fmt: skip


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """`about` names what it happened to (a family, client, API or user); `network` is a /24 or /48.

    `refreshes` is how many ordinary ones the family had seen before it.
    """

    name: EventName
    at: Instant
    about: str = ""
    client_id: str = ""
    subject: str = ""
    generation: int = 0
    presented: int = 0
    reason: str = ""
    network: str = ""
    agent: str = ""
    support_id: str = ""
    refreshes: int = 0


SERVER: Final = "server"  # what an event is about that concerns everybody

# What the family remembers and the audit log does not: telling of it is to cost a refresh no write.
REMEMBERED_ONLY: Final[frozenset[EventName]] = frozenset({"narrowed"})

SENTENCES: Final[dict[str, str]] = {
    "family_created": "The app signed in and got its first refresh token.",
    "replay_tolerated": "Refresh token {presented} came a second time and was answered again with its successor "
    "(a lost answer, or two tabs at once).",
    "narrowed": "The app asked for less than it was granted: {reason}. What it was granted stays as it is.",
    "superseded": "Refresh token {presented} came again late; its unused successor was replaced by number "
    "{generation}.",
    "store_behind": "Refresh token {presented} is newer than the store knew: the store had lost state.",
    "reuse_detected": "Refresh token {presented} had been used before and was presented again: one of the two "
    "holders is a thief, so the whole family ended.",
    "reuse_refused": "Refresh token {presented} is not the present one and was refused.",
    "suspected": "Refresh token {presented} had been used before and was presented again: refused, and the family "
    "marked. It ends at the next sign-in of this person with this app.",
    "signed_in": "Signed in with {reason}.",
    "sign_in_failed": "A sign-in failed.",
    "sign_in_throttled": "Too many sign-ins failed: {reason}.",
    "signed_out": "Signed out: {reason}.",
    "consent_given": "The app was allowed: {reason}.",
    "consent_withdrawn": "What the app was allowed was withdrawn, and what it held ended.",
    "revoked": "The family was revoked ({reason}).",
    "cut_off_raised": "Everything issued until then was cut off ({reason}).",
    "logout_undelivered": "The app could not be told that a session ended, and is not tried any more: {reason}.",
    "code_replayed": "Its authorization code was presented a second time, so everything it issued was revoked.",
}


def told(event: Event) -> str:
    """One event as a sentence for a person."""
    text = SENTENCES.get(event.name, event.name.replace("_", " ").capitalize() + ".")
    return text.format(presented=event.presented, generation=event.generation, reason=event.reason)
