"""Where an access token may stand in a request: the Authorization header, once, and nowhere else.

Source: RFC 6750 §2, §3.1; RFC 9449 §7.1; RFC 9700 §4.3.2 (never in the query); FAPI 2.0 §5.3.4.
"""

import re
from collections.abc import Collection
from typing import Final

from detent.core.errors import InvalidRequest
from detent.core.exchange import Request
from detent.web.form import parameter_names
from detent.web.respond import MissingToken

_B64TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


def presented_token(request: Request, schemes: Collection[str]) -> tuple[str, str]:
    """The scheme, one of `schemes` (in lower case), and the token.

    Raises MissingToken (401) without one, InvalidRequest (400) for one elsewhere, two, or no token.
    """
    if "access_token" in parameter_names(request):
        raise InvalidRequest("Send the access token in the Authorization header, not in the URL or the body.")
    if "authorization" in request.repeated:
        raise InvalidRequest("The request has more than one Authorization header.")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in schemes:
        raise MissingToken("Send an access token: Authorization: Bearer ...")
    token = token.strip(" ")
    if not _B64TOKEN.fullmatch(token):
        raise InvalidRequest("The Authorization header does not hold one access token (RFC 6750 2.1).")
    return scheme.lower(), token
