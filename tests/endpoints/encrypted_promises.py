"""What the metadata says of encryption, driven: what we encrypt to clients, and what they encrypt to us (RFC 7516)."""

from collections.abc import Callable
from typing import Any

from detent.admin.registrations import ClientFields
from detent.core.changes import RemoveClient
from detent.core.encryption import ALGS, ENCS, OWN_ALGS
from detent.core.ids import ClientId
from tests import decrypting, encrypting
from tests.asserting import Asserting
from tests.browsing import Browser, request_of
from tests.mission.test_a_tokens import claims_of
from tests.published import signed
from tests.serving import Detent


def drive_encryption(place: str) -> Callable[[Detent, Any], None]:
    """Every pair of algorithms is driven in test_encryption.py; here each value is taken once."""

    def drive(detent: Detent, value: Any) -> None:
        for each in value:
            alg, enc = (each, ENCS[0]) if each in ALGS else (ALGS[2], each)
            name, key = f"{place}-{alg}-{enc}", decrypting.key_for(alg)
            members = {f"{place}_encrypted_response_alg": alg, f"{place}_encrypted_response_enc": enc}
            decrypting.register(detent, name, **members, jwks=decrypting.jwks_of(key))
            tokens = detent.sign_in(name, scope="openid")
            bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
            told = tokens["id_token"] if place == "id_token" else detent.http.get("/userinfo", headers=bearer).text
            header, inside = decrypting.opened(told, key)
            assert (header["alg"], header["enc"]) == (alg, enc)
            assert claims_of(inside)["aud"] == name
            detent.apply(RemoveClient(ClientId(name), 1))

    return drive


def drive_request_object_encryption(detent: Detent, value: Any) -> None:
    for each in value:
        alg, enc = (each, ENCS[0]) if each in OWN_ALGS else (OWN_ALGS[1], each)
        signing = Asserting(detent, kind="web")
        members = {"request_object_encryption_alg": alg, "request_object_encryption_enc": enc}
        detent.thread.call(detent.house.registrations.update_client(signing.name, ClientFields(metadata=members)))
        inside = signed(signing.key, {"aud": detent.issuer, **request_of(signing.name, scope="read")})
        with Browser(detent) as browser:
            assert "code" in browser.sign_in(signing.name, request=encrypting.to_server(detent, inside, alg, enc))
