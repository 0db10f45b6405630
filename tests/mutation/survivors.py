"""Mutants that no test can notice, because they do the same as the original, with the reason; by module and name."""

from typing import Final

EQUIVALENT: Final[dict[str, dict[str, str]]] = {}
