"""`authorization_code` (RFC 6749 §4.1.3) with PKCE (RFC 7636).

A code is a sealed handle that lives 60 s: issuing one writes nothing, redeeming it inserts the family whose key it
names. So a second redemption finds the key taken, and kills what the first one made (RFC 6749 §4.1.2, §10.5), at
any age. Rule: everything is checked before the code is spent or a replay has a consequence.
"""

import hmac
from typing import Final

import msgspec

from detent.core.authorization import Authorization, PendingAuthorization, code_challenge_s256, is_code_verifier
from detent.core.errors import Conflict, InvalidGrant, InvalidRequest
from detent.core.exchange import Form, TokenResponse
from detent.core.family import Family
from detent.core.ids import FamilyKey, Instant, Seconds, SessionKey
from detent.core.session import SessionLife
from detent.grants.ending import Ending
from detent.grants.issuing import Issuing
from detent.ports import Directory
from detent.registry.requests import TokenRequest
from detent.tokens.handle import CODE_PREFIX, Handles

CODE_LIFE: Final = Seconds(60)


def sealed_code(handles: Handles, pending: PendingAuthorization) -> str:
    """The authorization code for what was allowed; no write."""
    return handles.seal(CODE_PREFIX, msgspec.msgpack.encode(pending))


class AuthorizationCode:
    grant_type = "authorization_code"

    def __init__(self, issuing: Issuing, ending: Ending, directory: Directory) -> None:
        self._issuing = issuing
        self._directory = directory
        self._ending = ending

    def screen(self, form: Form, client_id: str, now: Instant) -> PendingAuthorization:
        code = form.get("code")
        if code is None:
            raise InvalidRequest("The parameter code is missing.")
        content = self._issuing.handles.unseal(CODE_PREFIX, code)
        if content is None:
            raise _refused("not a code of this server")
        return msgspec.msgpack.decode(content, type=PendingAuthorization)

    async def issue(self, request: TokenRequest, screened: PendingAuthorization) -> TokenResponse:
        _check(screened, request)
        if request.now >= screened.expires_at:
            await self._kill(screened.key, request)  # if it was redeemed in time, this is a replay all the same
            raise _refused("expired")
        user = await self._directory.user(screened.authorization.subject)
        if user is None or not user.enabled:
            raise _refused("the person was disabled or removed since")
        around = await self._issuing.surroundings(request.client, user.epoch)
        if screened.authorization.epochs.behind(around.epochs):
            raise _refused("the person, the client or everything was cut off since")
        life = await self._still_meant(screened.authorization, request)
        try:
            until = life.absolute_until if life and screened.authorization.ends_with_session else None
            return await self._issuing.begin(request, screened, user, around, until=until)
        except Conflict:
            begun = await self._kill(screened.key, request)
            why = "presented a second time" if begun else "the person left, or withdrew the consent, since"
            raise _refused(why) from None

    async def _still_meant(self, authorization: Authorization, request: TokenRequest) -> SessionLife | None:
        """The session that the code came of, if it came of one. The write itself asks whether it, and the consent of
        it, are still there.
        """
        key = SessionKey.parse(authorization.session_id) if authorization.session_id else None
        if key is None:
            return None
        found = await self._issuing.store.session(key)
        if found is None or found.session.life.over(request.now):
            raise _refused("the person signed out since")
        return found.session.life

    async def _kill(self, key: FamilyKey, request: TokenRequest) -> Family | None:
        """RFC 6749 §4.1.2: revoke everything that the code's first redemption issued; None where there was none."""
        return await self._ending.end(
            key,
            "code_replay",
            request.now,
            told_as="code_replayed",
            origin=request.origin,
            support_id=request.support_id,
        )


def _check(pending: PendingAuthorization, request: TokenRequest) -> None:
    """Client, redirect URI, key, PKCE: in this order, each with the same answer. Raises InvalidGrant."""
    form = request.form
    if pending.authorization.client_id != request.client.client_id:
        raise _refused("issued to another client")
    if pending.redirect_uri != form.get("redirect_uri"):  # RFC 6749 §4.1.3: identical values
        raise _refused("redirect_uri differs from the authorization request")
    if not pending.authorization.cnf.accepts(request.proved):
        raise _refused("bound to another key")
    verifier = form.get("code_verifier")
    if pending.code_challenge is None:
        if verifier is not None:  # RFC 9700 §4.8.2: a downgrade
            raise _refused("code_verifier without a code_challenge")
        return
    if verifier is None or not is_code_verifier(verifier):
        raise _refused("code_verifier missing or malformed")
    if not hmac.compare_digest(code_challenge_s256(verifier), pending.code_challenge):
        raise _refused("code_verifier does not match")


def _refused(detail: str) -> InvalidGrant:
    return InvalidGrant("The authorization code is unknown, expired or was used before. Sign in again.", detail=detail)
