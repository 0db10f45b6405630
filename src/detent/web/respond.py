"""Answers: JSON, errors with a support id, caching.

Rule: an error goes out in one shape only, made here: the registered code, a sentence, a support id
(RFC 6749 §5.2); the reason behind it goes to the log under the same id.
"""

from typing import Any, Final

import msgspec

from detent.core.errors import InsufficientScope, InvalidClient, InvalidToken, OAuthError
from detent.core.exchange import Request, Response

JSON: Final = ("content-type", "application/json")
NO_STORE: Final = (("cache-control", "no-store"), ("pragma", "no-cache"))
SAFE: Final = (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"))
BEARER_CHALLENGE: Final = 'Bearer realm="detent"'
PRIVATE: Final = (JSON, *NO_STORE, *SAFE)

_encode = msgspec.json.Encoder().encode


class MissingToken(InvalidToken):
    """No token at all: the challenge names no error (RFC 6750 §3.1)."""


def json_private(body: Any, status: int = 200) -> Response:
    """An answer for one client only (RFC 6749 §5.1: no-store)."""
    return Response(status, _encode(body), PRIVATE)


def jwt_private(token: str) -> Response:
    """A JWT for one client only (RFC 7519 §10.3.1)."""
    return Response(200, token.encode(), (("content-type", "application/jwt"), *NO_STORE, *SAFE))


def json_public(body: Any, max_age: int) -> Response:
    """A public document that may be kept for `max_age` seconds."""
    return Response(200, _encode(body), (JSON, ("cache-control", f"public, max-age={max_age}"), *SAFE))


def error_response(request: Request, error: OAuthError) -> Response:
    body = {
        "error": error.code,
        "error_description": f"{error.description} Support id: {request.support_id}.",
        "support_id": request.support_id,
    }
    headers = list(error.headers)
    if challenge := _challenge(error):
        headers.append(("www-authenticate", challenge))
    if error.retry_after is not None:
        headers.append(("retry-after", str(error.retry_after)))
    return json_private(body, error.status).with_headers(*headers)


def _challenge(error: OAuthError) -> str:
    """RFC 9110 §11.6.1: how to authenticate, and after it what was wrong with how it was done, if it was."""
    if isinstance(error, InvalidClient):
        return 'Basic realm="detent", charset="UTF-8"'
    if not error.challenge and not isinstance(error, InvalidToken | InsufficientScope):
        return ""
    challenge = error.challenge or BEARER_CHALLENGE
    if isinstance(error, MissingToken):
        return challenge
    return f'{challenge}, error="{error.code}", error_description="{error.description}"'
