"""Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): a client_id that is an https URL, where
the app says who it is. Nobody registers; the domain vouches.

Fetched through the outbound guard when a sign-in begins, at most once a minute, and then written as a client like any
other, so that an operator sees it, can disable it and cut it off, and a refresh fetches nothing. Errors are not kept.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from detent.client_auth.flood import Flood
from detent.core.client import DOCUMENT, Client
from detent.core.errors import Conflict, InvalidRequest, OAuthError, SlowDown
from detent.core.ids import Instant
from detent.core.latest import Latest
from detent.core.policy import DAY, MINUTE
from detent.core.registering import OPEN_GRANTS, PRIVILEGED, fields_of, kind_of, more_of, read_metadata
from detent.ports import Store
from detent.registry.clients import Registrar
from detent.registry.feature import Feature
from detent.resource_server.compact import load_object
from detent.resource_server.errors import Unavailable
from detent.resource_server.fetch import Fetch, Response

MAX_BYTES: Final = 5 * 1024
MAX_CLIENT_ID: Final = 256
FRESH: Final = (MINUTE, DAY)  # bounds of how long a document is believed
FRESH_BY_DEFAULT: Final = 5 * MINUTE
AT_ONE_NETWORK, EVERYWHERE = 100, 5000
UNREADABLE: Final = "What the app says of itself at its address could not be read."
_HELD: Final = 4096
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])", re.IGNORECASE)
_SECRET: Final = ("client_secret", "client_secret_expires_at")


class Documents:
    def __init__(
        self,
        store: Store,
        fetch: Fetch,
        scopes: tuple[str, ...],
        registrar: Registrar,
        known: Mapping[str, Any],
    ) -> None:
        self._store = store
        self._fetch = fetch
        self._scopes = scopes
        self._registrar = registrar
        self._known = known
        self._flood = Flood(AT_ONE_NETWORK, EVERYWHERE)
        self._fresh_until: Latest[str, Instant] = Latest(_HELD)

    def names(self, client_id: str) -> bool:
        return client_id.startswith("https://")

    async def found(self, client_id: str, peer: str, now: Instant) -> Client:
        """The client as its document says now. Raises InvalidRequest for the person, SlowDown."""
        client = await self._store.client(client_id)
        if client is not None and (now < self._fresh_until.get(client_id, 0) or not client.enabled):
            return client
        if fault := url_fault(client_id):
            raise InvalidRequest(f"This client_id cannot be the address of an app: {fault}.")
        self._flood.count(peer, now, "apps were looked up")
        answer = await self._fetched(client_id)
        try:
            client = await self._written(client_id, client, _document(client_id, answer))
        except SlowDown:
            raise
        except OAuthError as error:
            raise InvalidRequest(f"What the app says of itself at its address cannot be: {error.description}") from None
        self._fresh_until[client_id] = Instant(now + _freshness(answer.headers.get("cache-control", "")))
        return client

    async def _fetched(self, client_id: str) -> Response:
        try:
            answer = await self._fetch(client_id, headers={"accept": "application/json"})
        except Unavailable as error:
            raise InvalidRequest(UNREADABLE, detail=error.reason) from None
        if answer.status != 200 or len(answer.body) > MAX_BYTES:
            raise InvalidRequest(UNREADABLE, detail=f"status {answer.status}, {len(answer.body)} bytes")
        return answer

    async def _written(self, client_id: str, before: Client | None, given: dict[str, Any]) -> Client:
        """Raises OAuthError."""
        metadata = read_metadata(given)
        kind = kind_of(metadata)
        if kind == "machine" or metadata.token_endpoint_auth_method not in ("none", "private_key_jwt"):
            raise InvalidRequest("only token_endpoint_auth_method none and private_key_jwt are possible.")
        fields = fields_of(metadata, OPEN_GRANTS, self._scopes)
        more = more_of(given, self._known)
        if before is None:
            try:
                made = await self._registrar.register(kind, {**fields, "metadata": more}, DOCUMENT, client_id=client_id)
                return made[0]
            except Conflict:  # somebody else at the same moment
                before = await self._store.client(client_id)
        if before is None or before.registered_by != DOCUMENT or before.kind != kind:
            raise InvalidRequest("it is not the kind of app that it was; ask the operator to remove it first.")
        return await self._registrar.change(
            before, {**fields, "metadata": dict.fromkeys(before.extra.keys() - PRIVILEGED) | more}
        )


def _document(client_id: str, answer: Response) -> dict[str, Any]:
    """Raises InvalidRequest."""
    given = load_object(answer.body)
    if given is None:
        raise InvalidRequest("it is not one JSON object.")
    if given.get("client_id") != client_id:
        raise InvalidRequest("its client_id is not its own address, character by character.")
    if any(name in given for name in _SECRET):
        raise InvalidRequest("a published document holds no secret.")
    return {"token_endpoint_auth_method": "none", **given}


def url_fault(client_id: str) -> str:
    """Draft §3. Why it is no client identifier; empty if it is one."""
    try:
        parts = urlsplit(client_id)
        _ = parts.port
    except ValueError:
        return "it is not a URL"
    plain = client_id.isascii() and client_id.isprintable() and " " not in client_id and "\\" not in client_id
    if not plain or not parts.hostname or len(client_id) > MAX_CLIENT_ID or client_id != parts.geturl():
        return f"it is not an https URL of at most {MAX_CLIENT_ID} plain characters"
    if "@" in parts.netloc or "#" in client_id or parts.netloc != parts.netloc.lower():
        return "it must not hold a user, a fragment or capitals in the host"
    if parts.path in ("", "/") or {".", ".."} & set(parts.path.split("/")):
        return "it needs a path, without dot segments"
    return ""


def _freshness(cache_control: str) -> int:
    found = _MAX_AGE.search(cache_control)
    return min(max(int(found[1]) if found else FRESH_BY_DEFAULT, FRESH[0]), FRESH[1])


def feature(documents: Documents) -> Feature:
    return Feature(
        "client-id-metadata",
        ("draft-ietf-oauth-client-id-metadata-document",),
        client_sources=(documents,),
        metadata={"client_id_metadata_document_supported": True},
    )
