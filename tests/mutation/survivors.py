"""Mutants that no test can notice, because they do the same as the original, with the reason; by module and fault.

Without the line, so that a change above does not unlist them.
"""

from typing import Final

EQUIVALENT: Final[dict[str, dict[str, str]]] = {
    "tokens/handle.py": {
        "16: one more": "of 17 random bytes the head packs 16",
        "digest_size=: left out of blake2b": "64 is what it is without",
    },
    "grants/refresh_token.py": {
        "assert_never(decision): left out": "never reached: the cases are all there are, which mypy proves",
    },
}
