"""What can go wrong, by registered code: one class per code, raised at the edge, turned into an answer once.

OAuthError
├ InvalidRequest            invalid_request          400   RFC 6749 §5.2
├ InvalidClient             invalid_client           401   RFC 6749 §5.2
├ InvalidGrant              invalid_grant            400   RFC 6749 §5.2
├ UnauthorizedClient        unauthorized_client      400   RFC 6749 §5.2
├ UnsupportedGrantType      unsupported_grant_type   400   RFC 6749 §5.2
├ UnsupportedTokenType      unsupported_token_type   400   RFC 7009 §2.2.1
├ InvalidScope              invalid_scope            400   RFC 6749 §5.2
├ InvalidTarget             invalid_target           400   RFC 8707 §2
├ InvalidToken              invalid_token            401   RFC 6750 §3.1
├ InsufficientScope         insufficient_scope       403   RFC 6750 §3.1
├ AccessDenied              access_denied            403   RFC 6749 §4.1.2.1
├ LoginRequired             login_required           400   OpenID Connect Core §3.1.2.6
├ ConsentRequired           consent_required         400   OpenID Connect Core §3.1.2.6
├ UnmetRequirements         unmet_authentication_requirements 400 OpenID Connect Core Unmet Authentication Requirements
├ UnsupportedResponseType   unsupported_response_type 400  RFC 6749 §4.1.2.1
├ RequestNotSupported       request_not_supported    400   OpenID Connect Core §3.1.2.6
├ RequestUriNotSupported    request_uri_not_supported 400  OpenID Connect Core §3.1.2.6
├ InvalidRequestObject      invalid_request_object   400   RFC 9101 §7, OpenID Connect Core §3.1.2.6
├ InvalidRequestUri         invalid_request_uri      400   RFC 9101 §7, OpenID Connect Core §3.1.2.6
├ RegistrationNotSupported  registration_not_supported 400 OpenID Connect Core §3.1.2.6
├ InvalidClientMetadata     invalid_client_metadata  400   RFC 7591 §3.2.2
├ InvalidRedirectUri        invalid_redirect_uri     400   RFC 7591 §3.2.2
├ InvalidSoftwareStatement  invalid_software_statement 400 RFC 7591 §3.2.2
├ UnapprovedSoftwareStatement unapproved_software_statement 400 RFC 7591 §3.2.2
├ NotFound                  not_found                404   RFC 9110 §15.5.5
├ AuthorizationPending      authorization_pending    400   RFC 8628 §3.5
├ ExpiredToken              expired_token            400   RFC 8628 §3.5
├ SlowDown                  slow_down                429   RFC 6585 §4 (status), RFC 8628 §3.5 (word)
├ TemporarilyUnavailable    temporarily_unavailable  503   RFC 6749 §4.1.2.1
└ ServerError               server_error             500   RFC 6749 §4.1.2.1
Under InvalidRequest, with a status of HTTP of their own: a body or headers too large, a form of somebody else …
Beside the tree: `Conflict` and `StoreUnavailable`, which stores raise, and `KeyUnknown`.
"""

import re
from typing import ClassVar, Self

_NOT_ALLOWED = re.compile(r"[^\x20\x21\x23-\x5B\x5D-\x7E]")


class OAuthError(Exception):
    """`description` goes to the client; `detail` goes to the log only, and neither ever holds a secret.

    `headers` go with the answer, `challenge` is what WWW-Authenticate begins with, if not as `code` says.
    """

    code: ClassVar[str] = "server_error"
    status: int = 500
    challenge = ""

    def __init__(
        self,
        description: str,
        *,
        detail: str = "",
        retry_after: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(description)
        # RFC 6749 §5.2: error_description is printable ASCII without quote and backslash.
        self.description = _NOT_ALLOWED.sub("?", description)
        self.detail = detail
        self.retry_after = retry_after
        self.headers = headers

    def challenged(self, challenge: str) -> Self:
        """The same where an access token was presented: 401 with this challenge (RFC 9110 §11.6.1)."""
        self.status, self.challenge = 401, challenge
        return self


class InvalidRequest(OAuthError):
    code, status = "invalid_request", 400


class NotFound(OAuthError):
    code, status = "not_found", 404


class MethodNotAllowed(InvalidRequest):
    status = 405


class RequestTimeout(InvalidRequest):
    status = 408


class Misdirected(InvalidRequest):
    status = 421


class HeadersTooLarge(InvalidRequest):
    status = 431


class UnsupportedMediaType(InvalidRequest):
    status = 415


class PayloadTooLarge(InvalidRequest):
    status = 413


class Forged(InvalidRequest):
    """A form that our page for this browser did not send (RFC 6749 §10.12)."""

    status = 403


class InvalidClient(OAuthError):
    code, status = "invalid_client", 401


class InvalidGrant(OAuthError):
    code, status = "invalid_grant", 400


class UnauthorizedClient(OAuthError):
    code, status = "unauthorized_client", 400


class UnsupportedGrantType(OAuthError):
    code, status = "unsupported_grant_type", 400


class UnsupportedTokenType(OAuthError):
    code, status = "unsupported_token_type", 400


class InvalidScope(OAuthError):
    code, status = "invalid_scope", 400


class InvalidTarget(OAuthError):
    code, status = "invalid_target", 400


class InvalidToken(OAuthError):
    code, status = "invalid_token", 401


class InsufficientScope(OAuthError):
    code, status = "insufficient_scope", 403


class AccessDenied(OAuthError):
    code, status = "access_denied", 403


class LoginRequired(OAuthError):
    code, status = "login_required", 400


class ConsentRequired(OAuthError):
    code, status = "consent_required", 400


class UnmetRequirements(OAuthError):
    code, status = "unmet_authentication_requirements", 400


class UnsupportedResponseType(OAuthError):
    code, status = "unsupported_response_type", 400


class RequestNotSupported(OAuthError):
    code, status = "request_not_supported", 400


class RequestUriNotSupported(OAuthError):
    code, status = "request_uri_not_supported", 400


class InvalidRequestObject(OAuthError):
    code, status = "invalid_request_object", 400


class InvalidRequestUri(OAuthError):
    code, status = "invalid_request_uri", 400


class RegistrationNotSupported(OAuthError):
    code, status = "registration_not_supported", 400


class InvalidClientMetadata(OAuthError):
    code, status = "invalid_client_metadata", 400


class AuthorizationPending(OAuthError):
    code, status = "authorization_pending", 400


class ExpiredToken(OAuthError):
    code, status = "expired_token", 400


class InvalidRedirectUri(OAuthError):
    code, status = "invalid_redirect_uri", 400


class InvalidSoftwareStatement(OAuthError):
    code, status = "invalid_software_statement", 400


class UnapprovedSoftwareStatement(OAuthError):
    code, status = "unapproved_software_statement", 400


class SlowDown(OAuthError):
    code, status = "slow_down", 429


class TemporarilyUnavailable(OAuthError):
    code, status = "temporarily_unavailable", 503


class ServerError(OAuthError):
    code, status = "server_error", 500


class Conflict(Exception):
    """A part of a `Changes` did not find the version it expected; nothing of it was written. Read again."""


class StoreUnavailable(Exception):
    """The store could not answer, or the fate of a commit is unknown: answer 503 and hand out nothing."""


class KeyUnknown(Exception):
    """Something names a key that is not known here yet, perhaps: look again, and ask once more."""
