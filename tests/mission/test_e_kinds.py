"""Mission E, the row that needs no browser: a refresh token is never for an API. Over HTTP."""

from tests.serving import Detent


def test_e3_a_refresh_token_opens_nothing_and_the_api_asks_nobody_about_it(detent: Detent) -> None:
    token = detent.sign_in()["refresh_token"]
    asked = detent.guards["/opaque/secret"].counters.introspections

    answers = [detent.secret(token, path) for path in ("/secret", "/opaque/secret")]
    at_userinfo = detent.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})

    assert [(each.status_code, each.json()["error"]) for each in (*answers, at_userinfo)] == [
        (401, "invalid_token")
    ] * 3
    assert detent.guards["/opaque/secret"].counters.introspections == asked, "a refresh token never leaves the API"
    assert detent.refresh("testclient", token).status_code == 200
