"""An agent and an MCP server that knew nothing of us: found, registered or vouched for, refreshed, a thief, revoked."""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from detent.profiles import MCP
from detent.system import SystemClock
from detent.testing.server import Loopback, ServerThread
from detent.web.outbound import LOOPBACK, Outbound
from tests.browsing import Browser
from tests.clients.example import Example, standing
from tests.clients.life import TURNS
from tests.clients.program import Program, Told, program
from tests.mission.test_a_tokens import claims_of
from tests.published import Published
from tests.serving import REDIRECT_URI

OPEN: dict[str, Any] = {
    "profile": MCP,
    "password_grant": False,
    "client_id_metadata_documents": True,
    "registering": "open",
    "registration_scopes": ("notes",),
    "status_list_ttl": 1,
}
SEEN_WITHIN = 30  # seconds, on a loaded machine: the list is good for one


@dataclass
class Met:
    """The MCP server of the page at `url`, guarded by `example`; `document` is where an agent says who it is."""

    example: Example
    url: str
    document: Published


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Met]:
    """On the machine's own clock: the SDK's server has no other."""
    folder = tmp_path_factory.mktemp("met")
    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "pem"))
    document = Published(at=Loopback(certificate=folder / "pem"))
    said = {"client_name": "My agent", "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none"}
    document.body = {"client_id": document.url, **said}
    outbound = Outbound(LOOPBACK, trust=trusting)
    with (
        ServerThread() as thread,
        standing(folder / "data", keys_folder, SystemClock(), outbound=outbound, **OPEN) as detent,
        program("mcp_server.py", folder / "log", {"ISSUER": detent.issuer}, patience=10 * 60) as server,
    ):
        thread.serve(document, document.at)
        url = server.went_on("serving")["url"]
        example = Example(detent, folder / "data", detent.api)
        example.registered("mcp", **{"http://127.0.0.1:8000/mcp": url})
        yield Met(example, url, document)


def test_an_agent_that_registers_itself_refreshes_five_times_and_signs_in_anew_once_it_is_refused(
    met: Met, tmp_path: Path
) -> None:
    client_id = lived(met, tmp_path / "log")
    known: Any = met.example.detent.thread.call(met.example.detent.store.client(client_id))
    assert (known.kind, known.registered_by, known.client_name) == ("native", "open", "My agent")


def test_an_agent_that_says_who_it_is_at_a_url_of_its_own_needs_no_registration(met: Met, tmp_path: Path) -> None:
    assert lived(met, tmp_path / "log", CLIENT_METADATA_URL=met.document.url) == met.document.url


def test_rfc9728_5_1_an_mcp_server_says_where_tokens_come_from_and_takes_none_that_is_for_another_api(met: Met) -> None:
    metadata = met.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    told = httpx.get(metadata).json()
    assert (told["resource"], told["authorization_servers"]) == (met.url, [met.example.detent.issuer])
    assert told["scopes_supported"] == ["notes"]
    other = met.example.detent.sign_in("app", scope="read")["access_token"]
    for headers in ({}, {"Authorization": f"Bearer {other}"}):
        answer = httpx.post(met.url, headers=headers)
        assert answer.status_code == 401
        assert f'resource_metadata="{metadata}"' in answer.headers["WWW-Authenticate"]


def lived(met: Met, log: Path, **told: str) -> str:
    """The client_id of an agent that was told of the MCP server, and lived through it all."""
    detent = met.example.detent
    with program("mcp_agent.py", log, {"MCP_SERVER": met.url, **told}) as agent, Browser(detent) as browser:
        chain = [signed_in(agent, browser, met.url)]
        client_id: str = chain[0]["client_id"]
        met.example.updated(client_id, "--overlap", "0")  # so that each refresh turns at once
        chain += [an_hour_later(agent) for _ in range(TURNS)]
        assert len({each["tokens"]["refresh_token"] for each in chain}) == TURNS + 1, "each turned"
        assert len({each["said"] for each in chain}) == 1

        old, newest = chain[0]["tokens"], chain[-1]["tokens"]
        assert detent.refresh(client_id, old["refresh_token"]).json()["error"] == "invalid_grant"
        refused_within_the_ttl(met.url, newest["access_token"])
        agent.say("an hour later")
        again = signed_in(agent, browser, met.url)
        assert again["said"] == chain[0]["said"]

        assert detent.revoke(again["tokens"]["refresh_token"], client_id).status_code == 200
        agent.say("an hour later")
        assert agent.told("sign in")
    return client_id


def signed_in(agent: Program, browser: Browser, url: str) -> Told:
    page = browser.open(agent.told("sign in")["url"])
    if page.path == "/login":
        page = browser.log_in(page)
    agent.say(browser.allow(page).location)
    used = agent.told("used")
    claims = claims_of(used["tokens"]["access_token"])
    assert (claims["aud"], claims["scope"]) == ([url], "notes offline_access")
    assert used["said"] == f"the notes of {claims['sub']}, read by {used['client_id']}"
    return used


def an_hour_later(agent: Program) -> Told:
    agent.say("an hour later")
    return agent.told("used")


def refused_within_the_ttl(url: str, access_token: str) -> None:
    end = time.monotonic() + SEEN_WITHIN
    headers = {"Authorization": f"Bearer {access_token}"}
    while (answer := httpx.post(url, headers=headers)).status_code != 401:
        assert time.monotonic() < end, f"still {answer.status_code}"
