"""Where a bearer token may stand in a request: the Authorization header, once, and nowhere else.

Source: RFC 6750 §2, §3.1; RFC 9700 §4.3.2 (never in the query); FAPI 2.0 §5.3.4.
"""

from detent.core.errors import InvalidRequest
from detent.core.exchange import Request
from detent.web.form import parse_query
from detent.web.respond import MissingToken

FORM = "application/x-www-form-urlencoded"


def bearer_token(request: Request) -> str:
    """The token. Raises MissingToken (401) without one, InvalidRequest (400) for one elsewhere or two."""
    if any(name == "access_token" for name, _ in parse_query(request.query)):
        raise InvalidRequest("Send the access token in the Authorization header, not in the URL (RFC 6750 2.3).")
    if "authorization" in request.repeated:
        raise InvalidRequest("The request has more than one Authorization header.")
    if request.headers.get("content-type", "").lower().startswith(FORM) and b"access_token=" in request.body:
        raise InvalidRequest("Send the access token in the Authorization header, not in the body.")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MissingToken("Send an access token: Authorization: Bearer ...")
    return token.strip()
