"""The walk-through of development mode as lines for a shell: they work as they stand, pasted one after another."""

import shlex
from pathlib import Path

_LINES = r"""
# The password grant: testclient signs test in. -u sends the Basic header, base64 of testclient:secret.
TOKENS=$(curl -s $ISSUER/oauth/token -u testclient:secret \
  -d grant_type=password -d username=test -d password=test); echo "$TOKENS"
# The access token opens the demo API, which checks it without asking anybody.
curl -s $API/secret -H "Authorization: Bearer $(echo "$TOKENS" | member access_token)"; echo
# The refresh token turns: a new access token, a new refresh token; the old one is dead.
TOKENS=$(curl -s $ISSUER/oauth/token -u testclient:secret \
  -d grant_type=refresh_token -d refresh_token=$(echo "$TOKENS" | member refresh_token)); echo "$TOKENS"
curl -s $API/secret -H "Authorization: Bearer $(echo "$TOKENS" | member access_token)"; echo
# What the server says of the access token, before and after its family is revoked.
curl -s $ISSUER/oauth/introspect -u testclient:secret -d token=$(echo "$TOKENS" | member access_token); echo
curl -s $ISSUER/oauth/revoke -u testclient:secret -d token=$(echo "$TOKENS" | member refresh_token)
curl -s $ISSUER/oauth/introspect -u testclient:secret -d token=$(echo "$TOKENS" | member access_token); echo
# A machine acts for itself.
curl -s $ISSUER/oauth/token -u $MACHINE -d grant_type=client_credentials; echo
"""


def shell_lines(issuer: str, demo_api: str, machine: str, authority: Path | None = None) -> str:
    """For any POSIX shell with curl and sed; `machine` is client_id:client_secret, `authority` whom curl believes."""
    where = f"ISSUER={issuer.rstrip('/')} API={demo_api.rstrip('/')} MACHINE={machine}\n"
    if authority:
        where += f"export CURL_CA_BUNDLE={shlex.quote(str(authority))}\n"
    return where + r"""member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }""" + _LINES.rstrip()
