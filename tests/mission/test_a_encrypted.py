"""Mission A6: a token that nobody reads but whom it is for. Over HTTP."""

import json
from base64 import urlsafe_b64decode

import pytest
from joserfc.errors import JoseError

from tests import decrypting
from tests.decrypting import jwks_of, opened
from tests.mission.test_a_tokens import claims_of
from tests.serving import VAULT, Detent

pytestmark = pytest.mark.quick


def test_a6_an_encrypted_id_token_is_read_with_the_key_of_its_client_alone(detent: Detent) -> None:
    key, another = decrypting.key_for("RSA-OAEP-256"), decrypting.key_for("RSA-OAEP-256")
    extra = {"id_token_encrypted_response_alg": "RSA-OAEP-256", "scope_claims_in_id_token": True, "jwks": jwks_of(key)}
    decrypting.register(detent, "sealed", **extra)
    for tokens in (
        first := detent.sign_in("sealed", scope="openid email"),
        detent.refreshed("sealed", first["refresh_token"]),
    ):
        head, *rest = tokens["id_token"].split(".")
        assert len(rest) == 4
        assert "email" not in json.loads(urlsafe_b64decode(head + "=="))
        assert "example.com" not in "".join(urlsafe_b64decode(part + "==").decode("latin-1") for part in rest)
        with pytest.raises(JoseError):
            opened(tokens["id_token"], another)
        assert claims_of(opened(tokens["id_token"], key)[1])["email"] == "test@example.com"


def test_a6_an_access_token_that_its_client_cannot_read(detent: Detent) -> None:
    token = detent.sign_in("app", resource=(VAULT,))["access_token"]
    assert token.startswith("dtat_")
    subject, content = detent.user("test").subject, token.removeprefix("dtat_")
    assert subject.encode() not in urlsafe_b64decode(content + "=" * (-len(content) % 4))
    assert detent.introspect(token, "demo-api")["sub"] == subject, "the API asks what it says"
