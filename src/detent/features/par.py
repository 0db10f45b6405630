"""Pushed authorization requests (RFC 9126): the app hands its request in beforehand, authenticated, and the browser
carries a reference to it.

A push is checked like a request at the authorization endpoint, and kept for a minute and a half under a hash of its
reference. It may be opened again (a page reloaded) until it was answered; after that it is spent.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from detent.core.base64url import base64url
from detent.core.changes import InsertRecord, Record
from detent.core.client import Client
from detent.core.errors import InvalidRequest, InvalidRequestUri
from detent.core.exchange import Form, Request, Response
from detent.core.ids import ClientId, Instant, Seconds
from detent.core.interaction import Spent
from detent.grants.commit import commit
from detent.ports import Entropy, Store
from detent.registry.authorizing import Asked
from detent.registry.feature import Feature
from detent.registry.requests import Proved
from detent.registry.routes import ClientRequest, ClientRoute
from detent.web.respond import json_private

URN: Final = "urn:ietf:params:oauth:request_uri:"
REQUIRED: Final = "require_pushed_authorization_requests"
PUSHED_KIND: Final = "pushed_request"
PUSHED_LIFE: Final = Seconds(90)
MAX_PUSHED_BYTES: Final = 32 * 1024
_OF_THE_CLIENT: Final = frozenset({"client_secret", "client_assertion", "client_assertion_type"})

Check = Callable[[Form, Client, Instant], Awaitable[Form]]
Offered = Callable[[Request, Instant], Awaitable[Proved]]


class Pushed(msgspec.Struct, frozen=True):
    client_id: ClientId
    values: dict[str, str]
    resources: tuple[str, ...]


class PushedRequests:
    parameter = "request_uri"
    checked_before = True
    demand = "This client must push its requests first (RFC 9126): send the request_uri that came of it."

    def __init__(self, store: Store, entropy: Entropy, check: Check, offered: Offered) -> None:
        self._store = store
        self._entropy = entropy
        self._check = check
        self._offered = offered

    # At the authorization endpoint

    def recognises(self, form: Form) -> bool:
        return (form.get("request_uri") or "").startswith(URN)

    def required_of(self, client: Client) -> bool:
        return client.extra.get(REQUIRED) is True

    async def read(self, form: Form, client: Client, now: Instant) -> Asked:
        key = _hash((form.get("request_uri") or "").removeprefix(URN))
        record = await self._store.record(PUSHED_KIND, key)
        pushed = msgspec.msgpack.decode(record.value, type=Pushed) if record else None
        if record is None or pushed is None or now >= record.expires_at or pushed.client_id != client.client_id:
            raise InvalidRequestUri("The request_uri is unknown, expired, used or another client's: push again.")
        return Asked(Form(pushed.values, pushed.resources), Spent(PUSHED_KIND, key, record.expires_at))

    # Where it is pushed

    async def push(self, asked: ClientRequest) -> Response:
        if asked.form.get("request_uri") is not None:
            raise InvalidRequest("A request_uri cannot be pushed (RFC 9126 2.1).")
        proved = await self._offered(asked.request, asked.now)
        form = _bound(await self._check(asked.form, asked.client, asked.now), proved.cnf.jkt)
        kept = {name: value for name, value in form.items() if name not in _OF_THE_CLIENT}
        value = msgspec.msgpack.encode(Pushed(asked.client.client_id, kept, form.resources))
        if len(value) > MAX_PUSHED_BYTES:
            raise InvalidRequest(f"The request is longer than {MAX_PUSHED_BYTES} bytes.")
        reference = base64url(self._entropy.token_bytes(32))
        record = Record(PUSHED_KIND, _hash(reference), value, Instant(asked.now + PUSHED_LIFE))
        await commit(self._store, proved.once, (InsertRecord(record),))
        answer = json_private({"request_uri": URN + reference, "expires_in": PUSHED_LIFE}, 201)
        return answer.with_headers(*proved.headers)


def _bound(form: Form, jkt: str | None) -> Form:
    """RFC 9449 §10.1: a proof that comes with the push stands for `dpop_jkt`. Raises InvalidRequest."""
    if jkt is None:
        return form
    if form.get("dpop_jkt") not in (None, jkt):
        raise InvalidRequest("dpop_jkt is not the key of the DPoP proof (RFC 9449 10.1).")
    return Form({**form, "dpop_jkt": jkt}, form.resources)


def _hash(reference: str) -> str:
    return base64url(hashlib.sha256(reference.encode()).digest())


def feature(store: Store, entropy: Entropy, check: Check, offered: Offered) -> Feature:
    """`check` is what the authorization endpoint makes of a request: its parameters, or an OAuthError; `offered` the
    key that a request proves.
    """
    pushed = PushedRequests(store, entropy, check, offered)
    return Feature(
        "par",
        ("RFC 9126",),
        request_sources=(pushed,),
        client_routes=(ClientRoute("/oauth/par", pushed.push, "pushed_authorization_request_endpoint"),),
        client_metadata={REQUIRED: bool},
    )
