"""The demo API and browsers: pages of the app's origin read its answers, refusals too, and no other page does."""

import httpx
import pytest

from detent.demo.api import demo_api

pytestmark = pytest.mark.quick

ORIGIN = "http://127.0.0.1:3000"
ISSUER = "http://127.0.0.1:9400/"


def asking(origins: tuple[str, ...] = (ORIGIN,)) -> httpx.AsyncClient:
    api = demo_api(ISSUER, "https://api.example/", "https://vault.example/", ("demo-api", "secret"), origins=origins)
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://127.0.0.1:9401")


async def preflight(http: httpx.AsyncClient, origin: str) -> httpx.Response:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization, dpop"}
    return await http.options("/secret", headers={"origin": origin, **asked})


async def test_a_page_of_the_app_may_send_a_token_and_read_why_it_is_refused() -> None:
    async with asking() as http:
        assert (await preflight(http, ORIGIN)).headers["access-control-allow-origin"] == ORIGIN
        allowed = (await preflight(http, ORIGIN)).headers["access-control-allow-headers"]
        assert "authorization" in allowed.lower()
        refused = await http.get("/secret", headers={"origin": ORIGIN})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
        assert refused.headers["access-control-expose-headers"] == "www-authenticate, dpop-nonce"


@pytest.mark.parametrize("origin", ["http://127.0.0.1:3001", "http://localhost:3000", "null", "http://evil.example"])
async def test_attack_k9_no_other_page_may(origin: str) -> None:
    async with asking() as http:
        assert "access-control-allow-origin" not in (await preflight(http, origin)).headers
        assert "access-control-allow-origin" not in (await http.get("/secret", headers={"origin": origin})).headers


async def test_without_an_app_no_page_may() -> None:
    async with asking(()) as http:
        assert "access-control-allow-origin" not in (await http.get("/secret", headers={"origin": ORIGIN})).headers
