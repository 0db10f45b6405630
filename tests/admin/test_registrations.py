"""What a registration means for tokens that are out there. Over HTTP."""

from pathlib import Path

import pytest

from detent.admin.registrations import ApiFields, ClientFields
from tests.serving import API, REDIRECT_URI, Detent, running

pytestmark = pytest.mark.quick


def test_a_client_registered_again_under_the_same_id_inherits_nothing(detent: Detent) -> None:
    registrations = detent.house.registrations
    fields = ClientFields(redirect_uris=(REDIRECT_URI,), scope=("read", "write"), default_audience=API)
    detent.thread.call(registrations.add_client("native", fields, client_id="again"))
    tokens = detent.sign_in("again")
    assert detent.refresh("again", tokens["refresh_token"]).status_code == 200

    detent.thread.call(registrations.remove_client("again"))
    assert detent.refresh("again", tokens["refresh_token"]).json()["error"] == "invalid_client"
    detent.clock.advance(1)
    detent.thread.call(registrations.add_client("native", fields, client_id="again"))

    assert detent.refresh("again", tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert detent.refresh("again", detent.sign_in("again")["refresh_token"]).status_code == 200


def test_the_first_key_of_an_algorithm_is_published_before_the_first_token_under_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path, tmp_path_factory.mktemp("own") / "keys", "memory") as detent:
        registrations = detent.house.registrations

        def published() -> set[str]:
            return {key["alg"] for key in detent.http.get("/.well-known/jwks.json").json()["keys"]}

        detent.thread.call(registrations.add_api("https://plain.example/", ApiFields()))
        assert published() == {"RS256"}
        detent.thread.call(registrations.add_api("https://curve.example/", ApiFields(signing_alg="ES256")))
        assert published() == {"RS256", "ES256"}
        detent.thread.call(registrations.update_api("https://plain.example/", ApiFields(signing_alg="EdDSA")))
        assert published() == {"RS256", "ES256", "EdDSA"}
