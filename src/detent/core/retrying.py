"""When something is sent again that another server did not take: soon at first, then ever more rarely.

For webhooks and logout tokens alike. Times are seconds; `jitter` is 0 to 1, so that those who failed together are not
asked together.
"""

from typing import Final

from detent.core.ids import Instant

FIRST_RETRY: Final = 5
LONGEST_RETRY: Final = 4 * 3600
LEASE: Final = 15  # longer than an attempt takes


def retry_at(failures: int, now: Instant, jitter: float) -> Instant:
    """After so many failures before this one."""
    delay = min(FIRST_RETRY * 3 ** min(failures, 10), LONGEST_RETRY)
    return Instant(now + round(delay * (0.8 + 0.4 * jitter)))
