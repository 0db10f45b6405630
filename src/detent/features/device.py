"""Device authorization (RFC 8628): a television or a command line signs in through a browser somewhere else.

The device asks at `/oauth/device/code`, its person types the short code at `/device` (pages/device.py), and the device
asks the token endpoint until that is done. What waits is one record, found by the short code alone; the long code is
sealed, so that only the device can ask for the tokens. Redeeming is as with an authorization code: once, and a second
time ends what the first began. Rule: nothing is allowed by an address that somebody opens (§5.4).
"""

from hashlib import blake2b
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from detent.core.authorization import Authorization, Epochs, PendingAuthorization
from detent.core.base64url import base64url
from detent.core.changes import Changes, InsertRecord, Record, ReplaceRecord
from detent.core.client import Client
from detent.core.errors import (
    AccessDenied,
    AuthorizationPending,
    Conflict,
    ExpiredToken,
    InvalidGrant,
    InvalidRequest,
    OAuthError,
    SlowDown,
    TemporarilyUnavailable,
    UnauthorizedClient,
)
from detent.core.exchange import Form, Response, TokenResponse
from detent.core.ids import ClientId, FamilyKey, Instant, Seconds, placement_of
from detent.core.latest import Latest
from detent.core.policy import MINUTE
from detent.core.scope import Scope
from detent.core.session import Session
from detent.grants.ending import Ending
from detent.grants.issuing import Issuing
from detent.identity.devices import device_name
from detent.ports import Directory, Entropy, Keys
from detent.registry.feature import Feature
from detent.registry.requests import TokenRequest
from detent.registry.routes import ClientRequest, ClientRoute
from detent.web.respond import json_private

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:device_code"
DEVICE_CODE_PREFIX: Final = "dtdc_"
PAGE: Final = "device"
LIFE: Final = Seconds(10 * MINUTE)
INTERVAL: Final = Seconds(5)
USER_CODE_CHARACTERS: Final = 8
_ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"  # §6.1: no vowels, so no words, and nothing that looks like a digit
_KIND: Final = "device"
_POLLS: Final = 10_000
_ATTEMPTS: Final = 5


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device asked for, and what its person said to it; `whence` is its name and network, for that person."""

    id: bytes
    client_id: ClientId
    scope: Scope
    audience: tuple[str, ...]
    expires_at: Instant
    device: str
    network: str
    answer: Literal["", "allowed", "denied"] = ""
    pending: PendingAuthorization | None = None


class DeviceCode(msgspec.Struct, frozen=True):
    """The content of the long code. `key` is where the record lies."""

    id: bytes
    key: str
    client_id: ClientId
    expires_at: Instant


class Devices:
    """Those that wait: begun by a client, found and answered by a person, redeemed by the client."""

    def __init__(self, issuing: Issuing, keys: Keys, entropy: Entropy) -> None:
        self._issuing = issuing
        self._keys = keys
        self._entropy = entropy

    async def begin(self, request: ClientRequest) -> tuple[str, str]:
        """The device code and the user code of a new one. Raises InvalidScope and InvalidTarget."""
        client, now = request.client, request.now
        apis = await self._issuing.asked_apis(request.form, client)
        scope = self._issuing.granted(apis, request.form, client)
        waiting = Waiting(
            self._entropy.token_bytes(16),
            client.client_id,
            scope,
            tuple(api.identifier for api in apis),
            Instant(now + LIFE),
            device_name(request.request.headers.get("user-agent", "")),
            request.request.origin.network,
        )
        for _ in range(_ATTEMPTS):
            user_code = self._user_code()
            key = self._keys_of(user_code)[0]
            record = Record(_KIND, key, msgspec.msgpack.encode(waiting), waiting.expires_at)
            try:
                await self._issuing.store.apply(Changes((InsertRecord(record),)))
            except Conflict:
                continue  # this code is in use: one of 25,600 million
            sealed = msgspec.msgpack.encode(DeviceCode(waiting.id, key, client.client_id, waiting.expires_at))
            return self._issuing.handles.seal(DEVICE_CODE_PREFIX, sealed), user_code
        raise TemporarilyUnavailable("No free code was found; try again.", retry_after=1)

    def opened(self, device_code: str) -> DeviceCode | None:
        content = self._issuing.handles.unseal(DEVICE_CODE_PREFIX, device_code)
        return msgspec.msgpack.decode(content, type=DeviceCode) if content else None

    async def of(self, code: DeviceCode) -> Waiting | None:
        """What became of it; None where it is gone."""
        found = await self._read(code.key)
        return found[1] if found and found[1].id == code.id else None

    async def named(self, user_code: str, now: Instant) -> Waiting | None:
        """The one that waits under what a person typed, however they wrote it; None if none does (attack V7)."""
        for key in self._keys_of(user_code):
            found = await self._read(key)
            if found and not found[1].answer and now < found[1].expires_at:
                return found[1]
        return None

    async def answer(self, user_code: str, waiting: Waiting, session: Session | None, now: Instant) -> bool:
        """The person of this session allows it, or nobody does; False if it waits for no answer any more."""
        for key in self._keys_of(user_code):
            found = await self._read(key)
            if not found or found[1] != waiting or now >= waiting.expires_at:
                continue
            answered = replace(waiting, answer="denied")
            if session:
                answered = replace(waiting, answer="allowed", pending=await self._pending(waiting, session, now))
            record = replace(found[0], value=msgspec.msgpack.encode(answered), version=found[0].version + 1)
            try:
                await self._issuing.store.apply(Changes((ReplaceRecord(record),)))
            except Conflict:
                return False
            return True
        return False

    async def _pending(self, waiting: Waiting, session: Session, now: Instant) -> PendingAuthorization:
        """Not tied to the session: that is one of another device (OpenID Connect Core §11)."""
        store = self._issuing.store
        client = await store.client(waiting.client_id)
        epochs = Epochs(session.epochs.user, client.epoch if client else 0, (await store.installation()).server_epoch)
        authorization = Authorization(
            waiting.client_id,
            session.subject,
            waiting.scope,
            waiting.audience,
            created_at=now,
            auth_time=session.auth_time,
            amr=session.amr,
            acr=session.acr,
            epochs=epochs,
        )
        key = FamilyKey(placement_of(session.subject), waiting.id)
        return PendingAuthorization(key, authorization, waiting.expires_at)

    async def _read(self, key: str) -> tuple[Record, Waiting] | None:
        record = await self._issuing.store.record(_KIND, key)
        return (record, msgspec.msgpack.decode(record.value, type=Waiting)) if record else None

    def _user_code(self) -> str:
        """34.5 bits, evenly: bytes that would favour the first letters are thrown away."""
        letters: list[str] = []
        while len(letters) < USER_CODE_CHARACTERS:
            letters += [_ALPHABET[byte % 20] for byte in self._entropy.token_bytes(16) if byte < 240]
        return "".join(letters[:USER_CODE_CHARACTERS])

    def _keys_of(self, user_code: str) -> list[str]:
        """Where its record may lie, the present pepper first: who reads the database learns no code to type."""
        user_code = bare(user_code)
        if len(user_code) != USER_CODE_CHARACTERS:
            return []
        peppers = self._keys.pepper()
        numbers = sorted(peppers.keys, key=lambda number: number != peppers.current)
        return [_digest(peppers.keys[number], user_code) for number in numbers]


def bare(user_code: str) -> str:
    """What of it counts (§6.1): case, dashes and spaces do not."""
    return "".join(character for character in user_code.upper() if character in _ALPHABET)


def in_groups(user_code: str) -> str:
    """As a person reads it aloud: in two groups."""
    return f"{bare(user_code)[:4]}-{bare(user_code)[4:]}"


def _digest(pepper: bytes, user_code: str) -> str:
    digest = blake2b(user_code.encode(), key=pepper, person=b"detent device", digest_size=16).digest()
    return base64url(digest)


class DeviceAuthorizationEndpoint:
    """§3.1, §3.2."""

    def __init__(self, issuer: str, devices: Devices) -> None:
        self._issuer = issuer
        self._devices = devices

    async def handle(self, request: ClientRequest) -> Response:
        if GRANT_TYPE not in request.client.grant_types:
            raise UnauthorizedClient(f"This client is not registered for the grant type {GRANT_TYPE}.")
        device_code, user_code = await self._devices.begin(request)
        page = self._issuer + PAGE
        return json_private(
            {
                "device_code": device_code,
                "user_code": in_groups(user_code),
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={in_groups(user_code)}",
                "expires_in": LIFE,
                "interval": INTERVAL,
            }
        )


class DeviceGrant:
    """§3.4, §3.5. How often a device asks is watched by each process on its own."""

    grant_type = GRANT_TYPE

    def __init__(self, issuing: Issuing, ending: Ending, directory: Directory, devices: Devices) -> None:
        self._issuing = issuing
        self._ending = ending
        self._directory = directory
        self._devices = devices
        self._polls: Latest[bytes, tuple[Instant, int]] = Latest(_POLLS)

    def screen(self, form: Form, client_id: str, now: Instant) -> DeviceCode:
        device_code = form.get("device_code")
        if device_code is None:
            raise InvalidRequest("The parameter device_code is missing.")
        code = self._devices.opened(device_code)
        if code is None or code.client_id != client_id:
            raise _refused("not a device code of this server for this client")
        return code

    async def issue(self, request: TokenRequest, screened: DeviceCode) -> TokenResponse:
        if request.now >= screened.expires_at:
            raise ExpiredToken("This code has expired. Begin again.")
        self._pace(screened.id, request.now)
        waiting = await self._devices.of(screened)
        if waiting is None:
            raise ExpiredToken("This code is gone. Begin again.")
        if waiting.answer == "denied":
            raise _at_the_token_endpoint(AccessDenied("The person did not allow it."))
        if waiting.pending is None:
            raise AuthorizationPending("The person has not answered yet. Ask again in a few seconds.")
        return await self._redeemed(waiting.pending, request)

    def _pace(self, id_: bytes, now: Instant) -> None:
        """§3.5: who asks too soon waits five seconds longer each time. A second less is the network's."""
        last, interval = self._polls.get(id_, (None, INTERVAL))
        early = last is not None and now - last < interval - 1
        self._polls[id_] = (now, interval + INTERVAL if early else interval)
        if early:
            raise _at_the_token_endpoint(SlowDown("Ask less often: add five seconds to the interval."))

    async def _redeemed(self, pending: PendingAuthorization, request: TokenRequest) -> TokenResponse:
        authorization = pending.authorization
        user = await self._directory.user(authorization.subject)
        if user is None or not user.enabled:
            raise _refused("the person was disabled or removed since")
        around = await self._issuing.surroundings(request.client, user.epoch)
        if authorization.epochs.behind(around.epochs):
            raise _refused("the person, the client or everything was cut off since")
        if not await self._still_allowed(authorization, request.client):
            raise _refused("the consent was withdrawn since")
        try:
            return await self._issuing.begin(request, pending, user, around)
        except Conflict:  # a device that lost its answer has nothing to lose, and a thief is to have nothing to win
            await self._ending.end(
                pending.key,
                "code_replay",
                request.now,
                told_as="code_replayed",
                origin=request.origin,
                support_id=request.support_id,
            )
            raise _refused("presented a second time") from None

    async def _still_allowed(self, authorization: Authorization, client: Client) -> bool:
        if client.first_party:
            return True
        return await self._issuing.store.consent(authorization.subject, client.client_id) is not None


def _refused(detail: str) -> InvalidGrant:
    return InvalidGrant("The device code is unknown or was used before. Begin again.", detail=detail)


def _at_the_token_endpoint(error: OAuthError) -> OAuthError:
    error.status = 400  # RFC 8628 §3.5: as RFC 6749 §5.2 says, whatever the status elsewhere
    return error


def feature(issuer: str, issuing: Issuing, ending: Ending, directory: Directory, devices: Devices) -> Feature:
    endpoint = DeviceAuthorizationEndpoint(issuer, devices)
    return Feature(
        "device",
        ("RFC 8628",),
        grants=(DeviceGrant(issuing, ending, directory, devices),),
        client_routes=(ClientRoute("/oauth/device/code", endpoint.handle, metadata="device_authorization_endpoint"),),
    )
