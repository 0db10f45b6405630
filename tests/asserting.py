"""Clients that sign who they are (RFC 7523): added to the cast of a served house, with the keys in their hands."""

from itertools import count
from typing import Any, Final

import httpx
from joserfc.jwk import OctKey
from msgspec.structs import replace

from detent.client_auth.assertion import ASSERTION_TYPE
from detent.client_auth.secret import secret_digest
from detent.core.changes import InsertClient
from detent.core.policy import ClientKind
from tests.published import jwks, key, signed
from tests.serving import START, Detent, client

SIGNING_SECRET: Final = "a-secret-of-thirty-two-characters-or-more"
_numbers: Final = count()


class Asserting:
    """A client of its own with a key; `method` may be client_secret_jwt."""

    def __init__(
        self,
        detent: Detent,
        alg: str = "ES256",
        method: Any = "private_key_jwt",
        kind: ClientKind = "machine",
        name: str = "",
        **more: Any,
    ) -> None:
        self.detent = detent
        self.name = name or f"asserting-{next(_numbers)}"
        self.alg = alg
        keys: Any = detent.house.outside.keys
        extra = more.pop("extra", {})
        secrets: tuple[Any, ...] = ()
        if method == "private_key_jwt":
            self.key: Any = key("mine", alg)
            extra = {"jwks": jwks(self.key)} | extra
        else:
            self.key = OctKey.import_key(SIGNING_SECRET)
            secrets = (secret_digest(SIGNING_SECRET, keys, START, sealed_for=self.name),)
        fields = {"token_endpoint_auth_method": method, "secrets": secrets, "extra": extra} | more
        registered = client(self.name, kind, keys)
        detent.apply(InsertClient(replace(registered, **fields)))

    def claims(self, **change: Any) -> dict[str, Any]:
        """What an honest assertion says; a claim that is changed to None is left out."""
        now = self.detent.clock.now()
        honest = {"iss": self.name, "sub": self.name, "aud": self.detent.issuer, "iat": now, "exp": now + 60}
        claims = honest | {"jti": f"jti-{next(_numbers)}"} | change
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(self, header: dict[str, Any] | None = None, **change: Any) -> str:
        kid = {"kid": None} if isinstance(self.key, OctKey) else {}
        return signed(self.key, self.claims(**change), **{"alg": self.alg, **kid, **(header or {})})

    def form(self, assertion: str | None = None) -> dict[str, str]:
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion or self.assertion()}

    def post(self, path: str, assertion: str | None = None, **form: Any) -> httpx.Response:
        return self.detent.http.post(path, data=self.form(assertion) | form)

    def token(self, assertion: str | None = None, **form: Any) -> httpx.Response:
        return self.post("/oauth/token", assertion, **({"grant_type": "client_credentials"} | form))
