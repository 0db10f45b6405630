"""Keys of ours that a client's metadata ask for: each is published before the first token under it.

Everybody reads the same key set, and some software reads none that holds another kind than RSA: docs/clients/.
Rule: an operator may decide that for everybody, a client that nobody vouched for may not.
"""

from typing import Final

from detent.core.api import SigningAlg
from detent.core.client import Client
from detent.core.encryption import OwnAlg
from detent.core.errors import InvalidClientMetadata
from detent.ports import Keys
from detent.registry.feature import ClientCheck

_RSA: Final = frozenset({"RS256", "PS256", "RSA-OAEP-256"})


def provided(keys: Keys, *members: str) -> ClientCheck:
    """The check that makes the first key of each algorithm that a client names in these members of its metadata."""

    async def check(client: Client) -> None:
        for member in members:
            if alg := client.extra.get(member):
                await _provide(keys, alg, client)

    return check


async def _provide(keys: Keys, alg: SigningAlg | OwnAlg, client: Client) -> None:
    """Raises InvalidClientMetadata."""
    unvouched = client.is_anybodys and alg not in _RSA
    if unvouched and not keys.public_jwks(frozenset({alg})):
        raise InvalidClientMetadata(
            f"{alg} is not in use at this server, and a client that registers itself does not bring it in: every other "
            f"client would meet its key. Ask for one of {', '.join(sorted(_RSA))}."
        )
    await keys.provide(alg)
