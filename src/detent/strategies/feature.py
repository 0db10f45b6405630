"""The strategies for clients that chose one; everybody else's refresh tokens are families' handles (grants/)."""

from typing import Final

from detent.registry.feature import Feature
from detent.strategies.allowlist import Allowlist
from detent.strategies.denylist import Denylist
from detent.strategies.jwt_refresh import Common
from detent.strategies.short_lived import ShortLived
from detent.strategies.unique_claim import UniqueClaim
from detent.strategies.user_secret import UserSecret

KINDS: Final = (Allowlist, Denylist, UniqueClaim, ShortLived, UserSecret)


def feature(common: Common) -> Feature:
    strategies = tuple(kind(common) for kind in KINDS)
    return Feature("jwt-refresh-tokens", ("RFC 7519", "RFC 7009"), strategies=strategies)
