"""What a member of the metadata would promise, where it is not there: refused, or nothing that anybody knows."""

from collections.abc import Callable

import pytest

from detent.admin.registrations import ClientFields
from detent.core.errors import InvalidClientMetadata
from tests.browsing import Browser
from tests.endpoints.promises import refusal
from tests.serving import RETURN_URI, Detent


def refuse_path(path: str) -> Callable[[Detent], None]:
    def refuse(detent: Detent) -> None:
        assert {detent.http.get(path).status_code, detent.http.post(path).status_code} == {404}

    return refuse


def refuse_openid(detent: Detent) -> None:
    """What only a request for OpenID could ask for."""
    assert refusal(detent, scope="openid read") == "invalid_scope"
    assert "id_token" not in detent.sign_in("app")


def refuse_metadata(member: str) -> Callable[[Detent], None]:
    """A client cannot be registered with what nothing here would do."""

    def refuse(detent: Detent) -> None:
        fields = ClientFields(redirect_uris=(RETURN_URI,), metadata={member: "RS256"})
        with pytest.raises(InvalidClientMetadata, match=member):
            detent.thread.call(detent.house.registrations.add_client("native", fields))
        refuse_openid(detent)

    return refuse


def refuse_wish(name: str) -> Callable[[Detent], None]:
    """RFC 6749 §3.1: a parameter that is not known is ignored."""

    def refuse(detent: Detent) -> None:
        with Browser(detent) as browser:
            assert browser.authorize(scope="read", **{name: "{}"}).path == "/login"

    return refuse


def refuse_documents(detent: Detent) -> None:
    with Browser(detent) as browser:
        assert browser.authorize("https://127.0.0.1:1/app").error == "invalid_request"
        assert "No app with this client_id" in browser.authorize("https://127.0.0.1:1/app").text


REFUSED: dict[str, Callable[[Detent], None]] = {
    "userinfo_endpoint": refuse_path("/userinfo"),
    "end_session_endpoint": refuse_path("/oidc/logout"),
    "registration_endpoint": refuse_path("/oidc/register"),
    "id_token_signing_alg_values_supported": refuse_metadata("id_token_signed_response_alg"),
    "userinfo_signing_alg_values_supported": refuse_metadata("userinfo_signed_response_alg"),
    "id_token_encryption_alg_values_supported": refuse_metadata("id_token_encrypted_response_alg"),
    "id_token_encryption_enc_values_supported": refuse_metadata("id_token_encrypted_response_enc"),
    "userinfo_encryption_alg_values_supported": refuse_metadata("userinfo_encrypted_response_alg"),
    "userinfo_encryption_enc_values_supported": refuse_metadata("userinfo_encrypted_response_enc"),
    "backchannel_logout_supported": refuse_metadata("backchannel_logout_uri"),
    "backchannel_logout_session_supported": refuse_metadata("backchannel_logout_session_required"),
    "claims_supported": refuse_openid,
    "claims_parameter_supported": refuse_wish("claims"),
    "acr_values_supported": refuse_wish("acr_values"),
    "display_values_supported": refuse_wish("display"),
    "ui_locales_supported": refuse_wish("ui_locales"),
    "client_id_metadata_document_supported": refuse_documents,
}
