"""An app that chose a strategy for JWT refresh tokens, in a house that is shared or in one of its own.

What its strategy is, a test says by the parameter `strategy`.
"""

import base64
import json
from itertools import count
from typing import Any

import httpx
import pytest

from detent.core.changes import InsertClient, Record
from detent.core.client import Client, checked_client
from detent.core.ids import FamilyKey
from tests.attacks.outcomes import assert_refused
from tests.mission.test_a_tokens import claims_of
from tests.serving import SECRET, Detent, client

STRATEGIES = ("allowlist", "denylist", "unique_claim", "short_lived", "user_secret")
REVOCABLE = tuple(name for name in STRATEGIES if name != "short_lived")
SPENT_BY_USE = ("allowlist", "denylist", "unique_claim")
GRANTS = ("password", "authorization_code", "refresh_token")
EVERY_STRATEGY = pytest.mark.parametrize("strategy", STRATEGIES)
Tokens = dict[str, Any]
_numbers = count(1)


class App:
    """A confidential client that chose this strategy."""

    def __init__(self, detent: Detent, strategy: str) -> None:
        self.detent = detent
        self.strategy = strategy
        self.name = f"by-{strategy}-{next(_numbers)}"
        keys: Any = detent.house.outside.keys
        registered = client(self.name, "web", keys, grant_types=GRANTS, refresh_strategy=strategy)
        detent.apply(InsertClient(checked_client(registered, frozenset(GRANTS), frozenset(STRATEGIES))))

    def post(self, path: str, **form: str) -> httpx.Response:
        return self.detent.http.post(path, data=form, auth=(self.name, SECRET))

    def sign_in(self, person: str = "test", **form: str) -> Tokens:
        password = self.detent.password_of(person)
        answer = self.post("/oauth/token", grant_type="password", username=person, password=password, **form)
        assert answer.status_code == 200, answer.text
        tokens: Tokens = answer.json()
        return tokens

    def refresh(self, refresh_token: str, **form: str) -> httpx.Response:
        return self.post("/oauth/token", grant_type="refresh_token", refresh_token=refresh_token, **form)

    def refreshed(self, tokens: Tokens, **form: str) -> Tokens:
        answer = self.refresh(tokens["refresh_token"], **form)
        assert answer.status_code == 200, answer.text
        renewed: Tokens = answer.json()
        return renewed

    def revoke(self, token: str) -> httpx.Response:
        return self.post("/oauth/revoke", token=token)

    def is_active(self, access_token: str) -> bool:
        active: bool = self.post("/oauth/introspect", token=access_token).json()["active"]
        return active

    def refuses(self, tokens: Tokens) -> bool:
        answer = self.refresh(tokens["refresh_token"])
        if answer.status_code == 200:
            return False
        assert_refused(answer, "invalid_grant")
        return True

    @property
    def registered(self) -> Client:
        found: Client = self.detent.thread.call(self.detent.store.client(self.name))
        return found


@pytest.fixture
def app(standing: Detent, strategy: str) -> App:
    """In a house that all these tests share; its clock only goes on."""
    return App(standing, strategy)


@pytest.fixture
def alone(detent: Detent, strategy: str) -> App:
    """In a house of its own, where a test may change people and cut everybody off."""
    return App(detent, strategy)


def header_of(token: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    return header


def segment(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def record(detent: Detent, kind: str, key: str) -> Record | None:
    found: Record | None = detent.thread.call(detent.store.record(kind, key))
    return found


def row_is_live(detent: Detent, tokens: Tokens) -> bool:
    key = FamilyKey.parse(claims_of(tokens["access_token"])["authorization_id"])
    status: str = detent.thread.call(detent.store.family(key)).family.status
    return status == "live"
