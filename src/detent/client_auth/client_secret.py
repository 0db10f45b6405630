"""`client_secret_basic` and `client_secret_post` (RFC 6749 §2.3.1).

A client with a secret may use either, whichever of the two it is registered with: real libraries differ, and the
proof is the same.
"""

import binascii
import re
from urllib.parse import unquote_plus

from detent.client_auth.secret import is_secret_of
from detent.core.client import Client
from detent.core.errors import InvalidClient
from detent.core.exchange import Form, Request
from detent.core.ids import Instant
from detent.ports import Keys
from detent.registry.requests import Claim, Once

SHOWN = ("client_secret_basic", "client_secret_post")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class _Secret:
    method: str
    signing_algs = ()

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def proves(self, claim: Claim, client: Client | None, now: Instant) -> tuple[Once, ...] | None:
        right = is_secret_of(client, claim.secret, self._keys, now)
        return () if right and client is not None and client.token_endpoint_auth_method in SHOWN else None


class ClientSecretBasic(_Secret):
    method = "client_secret_basic"

    def claim(self, request: Request, form: Form) -> Claim | None:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        if "authorization" in request.repeated:
            raise InvalidClient("The request has more than one Authorization header.")
        try:
            text = binascii.a2b_base64(credentials.strip(), strict_mode=True).decode()
        except ValueError:  # binascii.Error and UnicodeDecodeError are of this kind
            raise InvalidClient("The Basic header is not base64 of client_id:client_secret in UTF-8.") from None
        client_id, colon, secret = text.partition(":")
        if not colon or not client_id or not secret:
            raise InvalidClient("The Basic header must hold client_id:client_secret (RFC 6749 2.3.1).")
        return Claim(_form_decoded(client_id), self.method, _form_decoded(secret))


class ClientSecretPost(_Secret):
    method = "client_secret_post"

    def claim(self, request: Request, form: Form) -> Claim | None:
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if secret is None:
            return None
        if not client_id:
            raise InvalidClient("client_secret was sent without client_id.")
        return Claim(client_id, self.method, secret)


def _form_decoded(text: str) -> str:
    """RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.

    Many clients do not encode; a `%` that cannot be an escape shows one of them, and its text is taken as it is.
    """
    if not ("%" in text or "+" in text) or _BAD_ESCAPE.search(text):
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidClient("The Basic header does not decode to UTF-8.") from None
