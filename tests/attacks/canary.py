"""A client and a person whose secrets are canaries: nothing that a server keeps or says may hold one."""

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from detent.client_auth.secret import secret_digest
from detent.core.changes import InsertClient
from detent.core.policy import Overrides
from tests.serving import START, VAULT, VERIFIER, Detent, client

PASSWORD = "canary-password-Xk29fjQ"
CLIENT_SECRET = "canary-client-secret-8Hd72Lw"
RETRY_KEY = "canary-retry-key-3Fz81QmPw0"
WRONG = "canary-wrong-secret-Zz55Rt"

Secrets = dict[str, str]


class Life:
    """A client and a person whose secrets are canaries, and all that was issued to them."""

    def __init__(self, detent: Detent) -> None:
        self.detent = detent
        keys: Any = detent.house.outside.keys
        grants = ("password", "refresh_token", "authorization_code")
        registered = client("canary", "web", keys, grant_types=grants, overrides=Overrides(rotating=True, overlap=60))
        secrets = (secret_digest(CLIENT_SECRET, keys, START),)
        detent.apply(InsertClient(msgspec.structs.replace(registered, secrets=secrets)))
        self.person = detent.thread.call(detent.house.people.add("canary", PASSWORD, {"name": "Canary"}))
        self.secrets: Secrets = {
            "password": PASSWORD, "client secret": CLIENT_SECRET, "retry key": RETRY_KEY, "wrong": WRONG,
            "code verifier": VERIFIER,
        }  # fmt: skip
        self._live()

    def ask(self, path: str = "/oauth/token", **form: Any) -> httpx.Response:
        return self.detent.http.post(path, data=form, auth=("canary", CLIENT_SECRET))

    def take(self, name: str, answer: httpx.Response) -> dict[str, Any]:
        tokens: dict[str, Any] = answer.json()
        assert answer.status_code == 200, answer.text
        for kind in ("access_token", "refresh_token", "id_token"):
            if kind in tokens:
                self.secrets[f"{name} {kind}"] = tokens[kind]
        return tokens

    def _live(self) -> None:
        """Sign in, refresh, lose an answer, be asked about, be robbed, sign out."""
        detent = self.detent
        sign_in = {"grant_type": "password", "username": "canary", "password": PASSWORD}
        first = self.take("first", self.ask(**sign_in, scope="openid profile read"))
        self.take("opaque", self.ask(**sign_in, resource=VAULT))
        renew = {"grant_type": "refresh_token", "retry_key": RETRY_KEY}
        second = self.take("second", self.ask(**renew, refresh_token=first["refresh_token"]))
        self.take("repeated", self.ask(**renew, refresh_token=first["refresh_token"]))
        detent.clock.advance(61)
        third = self.take("third", self.ask(grant_type="refresh_token", refresh_token=second["refresh_token"]))
        self.secrets["code"] = detent.code("canary", scope="openid read")
        redeem = {
            "grant_type": "authorization_code",
            "code_verifier": VERIFIER,
            "redirect_uri": "http://127.0.0.1:7777/callback",
        }
        self.take("redeemed", self.ask(**redeem, code=self.secrets["code"]))
        assert detent.secret(third["access_token"]).status_code == 200
        assert detent.secret(self.secrets["opaque access_token"], "/opaque/secret").status_code == 200
        bearer = {"Authorization": f"Bearer {third['access_token']}"}
        assert detent.http.get("/userinfo", headers=bearer).status_code == 200
        assert self.ask("/oauth/introspect", token=third["refresh_token"]).json()["active"] is True
        assert self.ask(**redeem, code=self.secrets["code"]).status_code == 400, "replayed"
        assert self.ask(grant_type="refresh_token", refresh_token=first["refresh_token"]).status_code == 400, "reused"
        assert self.ask("/oauth/revoke", token=self.secrets["opaque refresh_token"]).status_code == 200

    def needles(self) -> Iterator[tuple[str, str]]:
        """Each secret, and of long ones the end: the part that proves."""
        for name, secret in self.secrets.items():
            yield name, secret
            if len(secret) > 60:
                yield f"the end of the {name}", secret[-24:]
