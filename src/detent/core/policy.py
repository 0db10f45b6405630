"""What each kind of client gets by default, and the few knobs that an operator may turn.

Source: OAuth 2.1 §4.3, RFC 9700 §4.14.2, RFC 9449 §5, browser-based apps (RFC 10017). Lifetimes are seconds.
Rule: the knobs are those of `Overrides`; a combination that is unsafe is refused here, at registration, so that
no request ever meets one.
"""

from functools import lru_cache
from typing import Final, Literal

import msgspec

from detent.core.confirmation import Confirmation
from detent.core.errors import InvalidClientMetadata
from detent.core.ids import Seconds

ClientKind = Literal["browser", "native", "cli", "web", "machine"]
OnReuse = Literal["revoke", "suspect"]
Rotates = Literal["unbound", "always", "never"]
FAMILY: Final = "family"  # the refresh strategy of every client that chose none

MINUTE, HOUR, DAY = 60, 3600, 86400
ACCESS_LIFE_RANGE = (10, DAY)
OVERLAP_RANGE = (0, 10 * MINUTE)
REFRESH_LIFE_MAX = 3650 * DAY


class RefreshPolicy(msgspec.Struct, frozen=True):
    """The policy in force. `rotates`: "unbound" means every family without a key binding (public clients)."""

    rotates: Rotates
    overlap: Seconds
    on_reuse: OnReuse
    access_life: Seconds
    idle: Seconds
    absolute: Seconds

    def rotating(self, cnf: Confirmation) -> bool:
        """OAuth 2.1 §4.3.1: a public client's refresh token is bound to a key or it rotates."""
        return self.rotates == "always" or (self.rotates == "unbound" and cnf.is_bearer)


class Overrides(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a client changes of its kind's defaults; `None` keeps the default."""

    rotating: bool | None = None
    overlap: int | None = None
    on_reuse: OnReuse | None = None
    access_life: int | None = None
    idle: int | None = None
    absolute: int | None = None


class KindDefaults(msgspec.Struct, frozen=True):
    policy: RefreshPolicy
    public: bool
    clause: str


def _kind(
    clause: str, public: bool, overlap: int, on_reuse: OnReuse, access: int, idle: int, absolute: int
) -> KindDefaults:
    rotates: Rotates = "unbound" if public else "never"
    policy = RefreshPolicy(rotates, Seconds(overlap), on_reuse, Seconds(access), Seconds(idle), Seconds(absolute))
    return KindDefaults(policy, public, clause)


KINDS: Final[dict[ClientKind, KindDefaults]] = {
    "browser": _kind("RFC 9700 §4.14.2, RFC 10017", True, 0, "revoke", 10 * MINUTE, 12 * HOUR, 7 * DAY),
    "native": _kind("RFC 8252, RFC 9700 §4.14.2", True, 60, "revoke", HOUR, 30 * DAY, 180 * DAY),
    "cli": _kind("RFC 9700 §4.14.2", True, 60, "suspect", HOUR, 14 * DAY, 90 * DAY),
    "web": _kind("OAuth 2.1 §4.3", False, 60, "revoke", HOUR, 14 * DAY, 90 * DAY),
    "machine": _kind("RFC 6749 §4.4.3", False, 60, "revoke", HOUR, 14 * DAY, 90 * DAY),
}


class Lives(msgspec.Struct, frozen=True):
    """The lifetimes that a strategy for JWT refresh tokens puts in place of the kind's."""

    access_life: Seconds
    idle: Seconds
    absolute: Seconds


JWT_LIVES: Final = Lives(Seconds(HOUR), Seconds(DAY), Seconds(7 * DAY))
SHORT_LIVES: Final = Lives(Seconds(10 * MINUTE), Seconds(HOUR), Seconds(HOUR))


def default_policy(kind: ClientKind, strategy: str = FAMILY) -> RefreshPolicy:
    """The kind's policy, with the lives of the client's refresh strategy where that is not the family."""
    policy = KINDS[kind].policy
    if strategy == FAMILY:
        return policy
    lives = SHORT_LIVES if strategy == "short_lived" else JWT_LIVES
    return msgspec.structs.replace(policy, access_life=lives.access_life, idle=lives.idle, absolute=lives.absolute)


@lru_cache(4096)  # asked for at every request of a client
def effective_policy(kind: ClientKind, overrides: Overrides, strategy: str = FAMILY) -> RefreshPolicy:
    """The defaults with the client's overrides. Raises InvalidClientMetadata for an unsafe mix."""
    defaults = KINDS[kind]
    begun = default_policy(kind, strategy)
    _check_strategy(kind, overrides, strategy)
    rotates = defaults.policy.rotates
    if overrides.rotating is not None:
        if defaults.public:
            raise InvalidClientMetadata(
                f"rotating cannot be set for a {kind} client: a public client always rotates unless its tokens "
                "are bound to a key (OAuth 2.1 4.3.1)."
            )
        rotates = "always" if overrides.rotating else "never"
    policy = RefreshPolicy(
        rotates,
        _within("overlap", overrides.overlap, defaults.policy.overlap, *OVERLAP_RANGE),
        overrides.on_reuse or defaults.policy.on_reuse,
        _within("access_life", overrides.access_life, begun.access_life, *ACCESS_LIFE_RANGE),
        _within("idle", overrides.idle, begun.idle, 1, REFRESH_LIFE_MAX),
        _within("absolute", overrides.absolute, begun.absolute, 1, REFRESH_LIFE_MAX),
    )
    as_long_as_the_access_token = overrides.idle == policy.access_life
    if policy.idle <= 2 * policy.access_life and not as_long_as_the_access_token:
        raise InvalidClientMetadata(
            f"idle ({policy.idle} s) must be longer than twice access_life ({policy.access_life} s): "
            "otherwise an app that refreshes on time is logged out. Raise idle or lower access_life; set idle to "
            "access_life itself if a refresh token is to end with its access token."
        )
    if policy.absolute < policy.idle:
        raise InvalidClientMetadata(f"absolute ({policy.absolute} s) must not be shorter than idle ({policy.idle} s).")
    if strategy == "short_lived" and (
        policy.access_life > SHORT_LIVES.access_life or policy.absolute > SHORT_LIVES.absolute
    ):
        raise InvalidClientMetadata(
            "refresh_strategy short_lived cannot revoke, so nothing of it may live long: access_life at most "
            f"{SHORT_LIVES.access_life} seconds, absolute at most {SHORT_LIVES.absolute}."
        )
    return policy


def _check_strategy(kind: ClientKind, overrides: Overrides, strategy: str) -> None:
    """A public client's refresh token must rotate with reuse detection (OAuth 2.1 §4.3.1): only a family's does."""
    if strategy == FAMILY:
        return
    if kind != "web":
        raise InvalidClientMetadata(
            f"refresh_strategy {strategy} is not for a {kind} client: only family detects reuse, which a public "
            "client needs (OAuth 2.1 4.3.1), and a machine has no refresh token."
        )
    if (overrides.rotating, overrides.overlap, overrides.on_reuse) != (None, None, None):
        raise InvalidClientMetadata(
            f"rotating, overlap and on_reuse are knobs of the refresh strategy family; {strategy} has none of them."
        )


def _within(name: str, value: int | None, default: int, low: int, high: int) -> Seconds:
    if value is None:
        return Seconds(default)
    if isinstance(value, bool) or not low <= value <= high:
        raise InvalidClientMetadata(f"{name} must be between {low} and {high} seconds.")
    return Seconds(value)
