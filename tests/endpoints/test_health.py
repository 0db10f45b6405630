"""`/health`, and what goes on while the store does not."""

from pathlib import Path

import pytest

from tests.attacks.outcomes import assert_refused
from tests.serving import Detent, running

pytestmark = pytest.mark.quick

PUBLIC = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json")


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_health_is_200_while_the_store_answers_and_says_nothing_else(
    tmp_path: Path, keys_folder: Path, store: str
) -> None:
    with running(tmp_path, keys_folder, store) as served:
        answer = served.http.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["cache-control"] == "no-store"
        assert (served.http.head("/health").status_code, served.http.head("/health").content) == (200, b"")


def test_health_is_503_while_the_store_does_not_and_nothing_is_handed_out(detent: Detent) -> None:
    tokens = detent.sign_in(scope="openid read")
    assert detent.secret(tokens["access_token"]).status_code == 200
    documents = [detent.http.get(path).content for path in PUBLIC]
    detent.thread.call(detent.store.close())

    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    answers = [
        detent.http.get("/health"),
        detent.refresh("testclient", tokens["refresh_token"]),
        detent.token("testclient", grant_type="password", username="test", password="test"),
        detent.revoke(tokens["refresh_token"]),
        detent.post("/oauth/introspect", "testclient", token=tokens["access_token"]),
        detent.http.get("/userinfo", headers=bearer),
    ]
    for answer in answers:
        assert_refused(answer, "temporarily_unavailable", 503)
        assert int(answer.headers["retry-after"]) >= 1
        assert "token" not in answer.json()["error_description"]

    assert [detent.http.get(path).content for path in PUBLIC] == documents, "what needs no store is still served"
    assert detent.secret(tokens["access_token"]).status_code == 200, (
        "an API that verifies alone goes on with what it holds"
    )


def test_garbage_is_refused_even_while_the_store_is_away(detent: Detent) -> None:
    detent.thread.call(detent.store.close())
    assert_refused(detent.refresh("app", "dtrt_" + "A" * 84), "invalid_grant")
    assert_refused(detent.token("app", grant_type="implicit"), "unsupported_grant_type")
