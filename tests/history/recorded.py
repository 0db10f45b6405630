"""A served house and the record of all that is asked of it."""

from collections.abc import Callable
from typing import Any

import httpx

from detent.core.policy import RefreshPolicy
from detent.testing.history.check import Violation, check
from detent.testing.history.record import Recorder
from tests.serving import VAULT, Detent

CLIENTS = ("testclient", "app", "cli", "spa", "web", "other")


def policies_of(detent: Detent) -> dict[str, RefreshPolicy]:
    return {name: detent.thread.call(detent.store.client(name)).policy for name in CLIENTS}


class Recorded:
    def __init__(self, detent: Detent) -> None:
        self.detent = detent
        self.recorder = Recorder(detent.clock)
        self.policies = policies_of(detent)

    def ask(
        self, path: str, client: str, *, promised: bool = False, person: str = "", session: str = "", **form: Any
    ) -> httpx.Response:
        request = self.recorder.started(path, form, client, promised=promised, person=person, session=session)
        answer = self.detent.post(path, client, **form)
        self.recorder.answered(request, answer.status_code, answer.content)
        return answer

    def sign_in(self, client: str = "testclient", **form: Any) -> dict[str, Any]:
        """The tokens of a new sign-in, for an API whose access tokens are introspected."""
        people = {"username": "test", "password": "test", "resource": VAULT}
        answer = self.ask("/oauth/token", client, grant_type="password", **({"person": "test"} | people | form))
        tokens: dict[str, Any] = answer.json()
        return tokens

    def refresh(self, token: str, client: str = "testclient", **form: Any) -> dict[str, Any]:
        answer = self.ask("/oauth/token", client, grant_type="refresh_token", refresh_token=token, **form)
        told: dict[str, Any] = answer.json()
        return told

    def refresh_in_vain(self, token: str, *, promised: bool = False, **form: Any) -> None:
        """Carried out, but whoever asked never hears of it."""
        asked = {"grant_type": "refresh_token", "refresh_token": token, **form}
        self.recorder.started("/oauth/token", asked, "testclient", promised=promised)
        self.detent.post("/oauth/token", "testclient", **asked)

    def revoke(self, token: str) -> None:
        self.ask("/oauth/revoke", "testclient", token=token)

    def active(self, token: str) -> bool:
        return bool(self.ask("/oauth/introspect", "testclient", token=token).json()["active"])

    def known(self, token: str) -> bool:
        """Whether userinfo answers to the access token."""
        request = self.recorder.started("/userinfo", {"access_token": token}, "testclient")
        answer = self.detent.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
        self.recorder.answered(request, answer.status_code, answer.content)
        return answer.status_code == 200

    def cut_off(self, act: Callable[[], object], **whom: str) -> None:
        """`whom`: client, person, session, or nobody for all of them."""
        request = self.recorder.cutting(**whom)
        act()
        self.recorder.cut(request)

    def violations(self) -> list[Violation]:
        return check(self.recorder.requests, self.policies)

    def found(self) -> set[str]:
        return {violation.invariant for violation in self.violations()}
