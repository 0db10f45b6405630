"""An API that says who issues its tokens (RFC 9728), as agents need it that were given nothing but its URL."""

from typing import Any

import pytest

from detent.resource_server import DPoP, ProtectedResource
from tests.resource_server.minting import AUDIENCE, ISSUER, minted
from tests.resource_server.test_asgi import Api

pytestmark = pytest.mark.quick

NOTES = ProtectedResource(f"{AUDIENCE}/mcp", (ISSUER,), ("notes",), resource_name="Notes")
PATH = "/.well-known/oauth-protected-resource/mcp"


async def test_rfc9728_3_the_document_stands_where_the_path_comes_last_and_needs_no_token() -> None:
    told = await Api(resource=NOTES).request(url=PATH)
    assert told.json() == {
        "resource": f"{AUDIENCE}/mcp",
        "authorization_servers": [ISSUER],
        "scopes_supported": ["notes"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Notes",
    }
    assert told.headers["content-type"] == "application/json"
    assert told.headers["access-control-allow-origin"] == "*"
    assert ProtectedResource(f"{AUDIENCE}/", (ISSUER,)).url == f"{AUDIENCE}/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("OPTIONS", 204), ("POST", 405)])
async def test_nothing_but_reading_is_answered_there(method: str, status: int) -> None:
    answer = await Api(resource=NOTES).request(method, PATH)
    assert (answer.status_code, answer.content) == (status, b"")


async def test_only_that_path_is_open_and_only_where_it_was_asked_for() -> None:
    api = Api(resource=NOTES)
    for path in ("/secret", PATH + "/", "/.well-known/oauth-protected-resource"):
        assert (await api.request(url=path)).status_code == 401
    assert (await Api().request(url=PATH)).status_code == 401


@pytest.mark.parametrize("options", [{}, {"dpop": True}])
async def test_rfc9728_5_1_every_refusal_names_it(options: dict[str, Any]) -> None:
    dpop = DPoP("https://api.example") if options else None
    api = Api(resource=NOTES, dpop=dpop, scopes_required=["notes"])
    refusals = [await api.request(), await api.bearing("x"), await api.bearing(minted())]
    assert [refusal.status_code for refusal in refusals] == [401, 401, 403]
    for refusal in refusals:
        assert refusal.headers["www-authenticate"].startswith(
            f'Bearer realm="api", resource_metadata="{AUDIENCE}{PATH}"'
        )


@pytest.mark.parametrize("resource", ["", "api", "https://api.example/?a", "https://api.example/#a", 'https://a/"'])
def test_what_cannot_be_a_resource_is_refused_at_the_start(resource: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        ProtectedResource(resource, (ISSUER,))
    with pytest.raises(ValueError, match="URL"):
        ProtectedResource(AUDIENCE, ())
