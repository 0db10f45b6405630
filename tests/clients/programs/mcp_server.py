"""An MCP server whose tools are guarded by detent, on the Python SDK. It tells its URL and serves until it is ended."""

import os
import socket

import uvicorn
from play import tell

ISSUER = os.environ["ISSUER"]
listening = socket.create_server(("127.0.0.1", 0))
MCP_SERVER = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"

# the page shows from here
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

from detent.resource_server import AccessTokens, InvalidToken, JwksCache, StatusLists, Verifier

jwks = JwksCache(f"{ISSUER}.well-known/jwks.json")
access_tokens = AccessTokens(
    verifier=Verifier(issuer=ISSUER, audience=MCP_SERVER),
    jwks=jwks,
    status_lists=StatusLists(ISSUER, jwks),  # what was ended is refused within the minute
)


class Detent(TokenVerifier):
    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            claims = await access_tokens.bearer(token)
        except InvalidToken:
            return None
        return AccessToken(
            token=token,
            client_id=claims.client_id or "",
            scopes=sorted(claims.scope),
            expires_at=int(claims.exp),
            resource=MCP_SERVER,
            subject=claims.sub,
            claims=dict(claims.raw),
        )


server = MCPServer(
    "Notes",
    token_verifier=Detent(),
    auth=AuthSettings(
        issuer_url=ISSUER,  # with its slash at the end
        resource_server_url=MCP_SERVER,  # the API as detent knows it
        required_scopes=["notes"],
        validate_token_resource=True,
    ),
)


@server.tool()
def whose_notes() -> str:
    """Whose notes these are."""
    token = get_access_token()
    assert token is not None
    return f"the notes of {token.subject}, read by {token.client_id}"


app = server.streamable_http_app()
# to here

tell("serving", url=MCP_SERVER)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
