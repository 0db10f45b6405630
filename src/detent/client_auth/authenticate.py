"""Which client sent this request (RFC 6749 §2.3), in two steps so that garbage can be refused between them.

Rule: `claimed` does no I/O and believes nothing; only `authenticated` returns a `Client`.
"""

from collections.abc import Mapping

from detent.core.errors import InvalidClient, InvalidRequest
from detent.core.exchange import Form, Request
from detent.core.ids import Instant
from detent.ports import Store
from detent.registry.requests import Authenticated, Claim, ClientAuth

NONE = "none"


def claimed(methods: Mapping[str, ClientAuth], request: Request, form: Form) -> Claim:
    """The one claim of the request. Raises InvalidClient without any, InvalidRequest for two (RFC 6749 §2.3)."""
    claims = [claim for method in methods.values() if (claim := method.claim(request, form))]
    if not claims:
        raise InvalidClient("The request names no client: send client_id, or the Basic header.")
    if len(claims) == 1:
        return claims[0]
    if len({claim.client_id for claim in claims}) > 1:
        raise InvalidRequest("The request names two different clients.")
    proofs = [claim for claim in claims if claim.method != NONE]
    if len(proofs) > 1:
        raise InvalidRequest("The request authenticates the client in two ways; use one (RFC 6749 2.3).")
    return proofs[0] if proofs else claims[0]


async def authenticated(methods: Mapping[str, ClientAuth], claim: Claim, store: Store, now: Instant) -> Authenticated:
    """The registered, enabled client that the claim proves. Raises InvalidClient: the same for an unknown client, a
    wrong secret and a disabled client.
    """
    client = await store.client(claim.client_id)
    once = await methods[claim.method].proves(claim, client, now)
    if client is None or once is None or not client.enabled:
        reason = "unknown client" if client is None else "wrong credentials" if client.enabled else "disabled client"
        raise InvalidClient("Client authentication failed: check client_id and how it authenticates.", detail=reason)
    return Authenticated(client, once)
