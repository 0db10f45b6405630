"""An agent on the Python SDK's OAuth client: told of nothing but the URL of an MCP server, it finds out the rest.

It uses a tool whenever the test lets it go on; after `an hour later` its access token is over by its own clock. With
CLIENT_METADATA_URL it says there who it is, else it registers itself.
"""

import asyncio
import os
import time
from urllib.parse import parse_qs, urlsplit

from play import tell

MCP_SERVER, CLIENT_METADATA_URL = os.environ["MCP_SERVER"], os.environ.get("CLIENT_METADATA_URL")
answers: list[str] = []


async def open_browser(url: str) -> None:
    answers.append(tell("sign in", url=url))


async def come_back() -> str:
    return answers.pop()


# the page shows from here
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken


class Kept(TokenStorage):
    """Yours writes them where only your user can read them."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens  # in place of the old ones

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def came_back() -> AuthorizationCodeResult:
    answer = parse_qs(urlsplit(await come_back()).query)
    return AuthorizationCodeResult(code=answer["code"][0], state=answer["state"][0], iss=answer["iss"][0])


kept = Kept()
provider = OAuthClientProvider(
    MCP_SERVER,
    OAuthClientMetadata(
        client_name="My agent",
        redirect_uris=["http://127.0.0.1:7777/callback"],
        token_endpoint_auth_method="none",  # or it is given a secret to keep
    ),
    storage=kept,
    redirect_handler=open_browser,
    callback_handler=came_back,
    client_metadata_url=CLIENT_METADATA_URL,  # https, where your agent says who it is; without one it registers itself
)


async def use(tool: str) -> str:
    async with (
        httpx2.AsyncClient(auth=provider, timeout=30) as http,
        Client(streamable_http_client(MCP_SERVER, http_client=http)) as client,
    ):
        result = await client.call_tool(tool)
        return result.content[0].text


# to here

machine_time = time.time
hours = 0
time.time = lambda: machine_time() + 3600 * hours


async def main() -> None:
    global hours
    while True:
        said = await use("whose_notes")
        word = tell("used", said=said, tokens=kept.tokens.model_dump(), client_id=kept.client.client_id)
        hours += word == "an hour later"


asyncio.run(main())
