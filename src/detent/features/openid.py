"""OpenID Connect Core for every client: what a scope tells, how tokens about a person are signed, how they signed in.

Source: OpenID Connect Core §2, §3.1.2.1 (max_age, acr_values), §5.4, §8; OpenID Connect Dynamic Client Registration §2
(client metadata).
Leaves: making ID tokens to tokens/, the `claims` parameter to claims.py.
"""

from typing import Annotated, Final

import msgspec
from msgspec.structs import replace

from detent.core.api import SIGNING_ALGS, SigningAlg
from detent.core.authorization import Authorization
from detent.core.client import ID_TOKEN_ALG, REQUIRE_NONCE, USERINFO_ALG, Client
from detent.core.exchange import Form
from detent.core.ids import Seconds
from detent.core.interaction import AuthorizationRequest
from detent.core.people import CLAIMS_OF_SCOPE
from detent.core.scope import Scope
from detent.core.session import ACR_VALUES, Acr
from detent.core.wishes import Place, Wishes, wishes_of
from detent.ports import Keys
from detent.registry.feature import Feature
from detent.tokens.wanted_keys import provided

IN_ID_TOKEN: Final = "scope_claims_in_id_token"
MAX_AGE: Final = "default_max_age"
_OF_ID_TOKENS: Final = ("sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr")


class Scopes:
    """§5.4: claims that a scope asks for are told at userinfo, and in the ID token where the client wants that.

    A browser app wants it unless it says otherwise: such apps read who signed in from the ID token alone. In a profile
    where all do, so does everybody.
    """

    name = "scopes"

    def __init__(self, all_do: bool) -> None:
        self._all_do = all_do

    def asked(self, authorization: Authorization, client: Client, scope: Scope, place: Place) -> Wishes:
        in_id_token: bool = client.extra.get(IN_ID_TOKEN, self._all_do or client.kind == "browser")
        return wishes_of(scope) if place == "userinfo" or in_id_token else {}


def read_defaults(form: Form, client: Client, request: AuthorizationRequest) -> AuthorizationRequest:
    """What the client registered for requests that do not say. `acr_values` is a wish that changes nothing: whoever
    signs in reaches the one class there is, and the ID token says which.
    """
    default = client.extra.get(MAX_AGE)
    return replace(request, max_age=Seconds(default)) if request.max_age is None and default is not None else request


def feature(keys: Keys, *, claims_in_id_token: bool = False) -> Feature:
    claims = {*_OF_ID_TOKENS, *(claim for claims in CLAIMS_OF_SCOPE.values() for claim in claims)}
    return Feature(
        "openid",
        ("OpenID Connect Core", "OpenID Connect Dynamic Client Registration §2"),
        releases=(Scopes(claims_in_id_token),),
        request_readers=(read_defaults,),
        metadata={
            "claims_supported": sorted(claims),
            "acr_values_supported": list(ACR_VALUES),
            "id_token_signing_alg_values_supported": list(SIGNING_ALGS),
            "userinfo_signing_alg_values_supported": list(SIGNING_ALGS),
            "display_values_supported": ["page"],
            "ui_locales_supported": ["en"],
        },
        client_metadata={
            ID_TOKEN_ALG: SigningAlg,
            USERINFO_ALG: SigningAlg,
            IN_ID_TOKEN: bool,
            REQUIRE_NONCE: bool,  # false: what may leave out PKCE may leave out the nonce too
            MAX_AGE: Annotated[int, msgspec.Meta(ge=0, le=10**9)],
            "require_auth_time": bool,  # every ID token says it
            "default_acr_values": list[Acr],
        },
        client_checks=(provided(keys, ID_TOKEN_ALG, USERINFO_ALG),),
    )
