"""Access tokens where there is no ASGI request to guard, as in an MCP server: RFC 9449 §7.2."""

import pytest

from detent.resource_server import AccessTokens, InvalidToken, JwksCache, Unavailable
from tests.resource_server.issuer import JWKS_URL, Issuer
from tests.resource_server.minting import VERIFIER, ManualClock, minted

pytestmark = pytest.mark.quick


def tokens_of(issuer: Issuer) -> AccessTokens:
    clock = ManualClock()
    return AccessTokens(verifier=VERIFIER, jwks=JwksCache(JWKS_URL, fetch=issuer, clock=clock), clock=clock)


async def test_a_good_token_says_whose_it_is() -> None:
    assert (await tokens_of(Issuer()).bearer(minted())).sub == "alice"


@pytest.mark.parametrize("token", ["", "dtrt_x", "dtat_x", "a.b.c", minted({"aud": ["https://other.example"]})])
async def test_nothing_else_is_taken(token: str) -> None:
    with pytest.raises(InvalidToken):
        await tokens_of(Issuer()).bearer(token)


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "x"}, {}])
async def test_rfc9449_7_2_a_token_that_is_bound_to_a_key_is_no_bearer_token(cnf: dict[str, str]) -> None:
    tokens, bound = tokens_of(Issuer()), minted({"cnf": cnf})
    with pytest.raises(InvalidToken, match="without proof"):
        await tokens.bearer(bound)
    assert (await tokens.claims(bound)).cnf == cnf


async def test_a_token_that_could_not_be_checked_is_neither_good_nor_bad() -> None:
    with pytest.raises(Unavailable):
        await tokens_of(Issuer(document=None)).bearer(minted())
