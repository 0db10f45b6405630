"""Registering clients and APIs (RFC 7591 §2, RFC 7592): every operation is checked, and is one `Changes`.

A secret is returned by the call that made it and never again. What may be registered is `checked_client` and
`checked_api`; what an operation is called on the wire or the command line is up to the caller.
"""

import base64
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from detent.admin.errors import AlreadyExists, ChangedMeanwhile, NotFound
from detent.client_auth.secret import new_secret, secret_digest
from detent.core.api import Api, SigningAlg, checked_api
from detent.core.changes import (
    Changes,
    InsertApi,
    InsertClient,
    Part,
    RemoveApi,
    RemoveClient,
    ReplaceApi,
    ReplaceClient,
)
from detent.core.client import DEFAULT_GRANTS, AuthMethod, Client, SecretDigest, check_metadata, checked_client
from detent.core.errors import Conflict, InvalidClientMetadata
from detent.core.events import Event, EventName
from detent.core.ids import ClientId, Instant
from detent.core.policy import DAY, KINDS, ClientKind, OnReuse, Overrides
from detent.core.scope import Scope
from detent.ports import Clock, Directory, Entropy, Keys, Store
from detent.registry.feature import ClientCheck

LONGEST_SECRET_OVERLAP: Final = 30 * DAY
SHORTEST_SIGNING_SECRET: Final = 32
_KNOBS: Final = frozenset(Overrides.__struct_fields__)


class ClientFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be chosen of a client, by RFC 7591 name; UNSET leaves it, None takes a default back."""

    client_name: str | UnsetType = UNSET
    client_uri: str | UnsetType = UNSET
    logo_uri: str | UnsetType = UNSET
    policy_uri: str | UnsetType = UNSET
    tos_uri: str | UnsetType = UNSET
    first_party: bool | UnsetType = UNSET
    require_pkce: bool | UnsetType = UNSET
    redirect_uris: tuple[str, ...] | UnsetType = UNSET
    post_logout_redirect_uris: tuple[str, ...] | UnsetType = UNSET
    web_origins: tuple[str, ...] | UnsetType = UNSET
    grant_types: tuple[str, ...] | UnsetType = UNSET
    token_endpoint_auth_method: AuthMethod | UnsetType = UNSET
    scope: Scope | UnsetType = UNSET
    default_audience: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    rotating: bool | UnsetType | None = UNSET
    overlap: int | UnsetType | None = UNSET
    on_reuse: OnReuse | UnsetType | None = UNSET
    access_life: int | UnsetType | None = UNSET
    idle: int | UnsetType | None = UNSET
    absolute: int | UnsetType | None = UNSET
    refresh_strategy: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET  # the members that features add; None takes one away

    def on(self, client: Client) -> Client:
        """The client with these choices. Disabling it voids what it was issued, for good."""
        values = chosen(self)
        knobs = {name: values.pop(name) for name in list(values) if name in _KNOBS}
        extra = {**client.extra, **values.pop("metadata", {})}
        values["extra"] = {name: value for name, value in extra.items() if value is not None}
        epoch = client.epoch + (client.enabled and values.get("enabled") is False)
        return replace(client, overrides=replace(client.overrides, **knobs), epoch=epoch, **values)


class ApiFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be chosen of an API after its identifier; UNSET leaves it, None takes a default back."""

    name: str | UnsetType = UNSET
    scopes: dict[str, str] | UnsetType = UNSET
    token_format: str | UnsetType = UNSET
    signing_alg: SigningAlg | UnsetType = UNSET
    access_life: int | UnsetType | None = UNSET
    clients: tuple[str, ...] | UnsetType = UNSET
    introspected_by: tuple[str, ...] | UnsetType = UNSET


def chosen(fields: ClientFields | ApiFields) -> dict[str, Any]:
    """The fields that are not UNSET."""
    return {name: value for name, value in asdict(fields).items() if value is not UNSET}


class Registrations:
    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        *,
        known_grants: Collection[str],
        known_formats: Collection[str],
        known_strategies: Collection[str] = (),
        known_metadata: Mapping[str, Any] = {},
        client_checks: Sequence[ClientCheck] = (),
    ) -> None:
        self.store = store
        self.keys = keys
        self.clock = clock
        self.entropy = entropy
        self._known_grants = known_grants
        self._known_formats = known_formats
        self._known_strategies = known_strategies
        self._known_metadata = known_metadata
        self._client_checks = client_checks

    # Clients

    async def add_client(
        self, kind: ClientKind, fields: ClientFields, *, client_id: str | None = None, client_secret: str | None = None
    ) -> tuple[Client, str | None]:
        """The new client and its secret, if its kind has one. Raises InvalidClientMetadata, AlreadyExists."""
        now = self.clock.now()
        public = KINDS[kind].public
        client = Client(
            ClientId(client_id or self._new_id()),
            kind,
            now,
            grant_types=DEFAULT_GRANTS[kind],
            token_endpoint_auth_method="none" if public else "client_secret_basic",
            epoch=now,  # later than what an earlier client of this id was issued, so that is void
        )
        client, secret = self._with_secret(await self._checked(client, fields), client_secret)
        if await self.store.client(client.client_id):
            raise AlreadyExists(f"There is a client {client.client_id} already.")
        await self._apply(InsertClient(client), client.client_id, ("client_added", ""))
        return client, secret

    async def register(
        self,
        kind: ClientKind,
        fields: Mapping[str, Any],
        by: str,
        token_digest: bytes = b"",
        also: tuple[Part, ...] = (),
        client_id: str | None = None,
    ) -> tuple[Client, str | None]:
        """A client that registers itself (RFC 7591). Raises InvalidClientMetadata, and Conflict as `also` does."""
        now = self.clock.now()
        made = Client(
            ClientId(client_id or self._new_id()),
            kind,
            now,
            registered_by=by,
            registration_token=token_digest,
            epoch=now,
        )
        client, secret = self._with_secret(await self._checked(made, ClientFields(**fields)))
        told = Event(
            "client_added", now, about=client.client_id, client_id=client.client_id, reason=f"by itself ({by})"
        )
        await self.store.apply(Changes((InsertClient(client), *also), (told,)))
        return client, secret

    async def change(self, client: Client, fields: Mapping[str, Any]) -> Client:
        """By itself (RFC 7592). Raises InvalidClientMetadata, ChangedMeanwhile."""
        return await self.update_client(client.client_id, ClientFields(**fields))

    async def forget_unused(self, directory: Directory, by: str, before: Instant) -> int:
        """Remove the clients registered `by` somebody before then that nobody is signed in at; how many they were."""
        removed, after = 0, ""
        while found := await directory.clients(after=after):
            after = found[-1].client_id
            for client in found:
                if client.registered_by != by or client.created_at >= before:
                    continue
                if not await directory.families(client_id=client.client_id, limit=1):
                    await self.remove_client(client.client_id)
                    removed += 1
        return removed

    async def update_client(self, client_id: str, fields: ClientFields) -> Client:
        """Raises NotFound, InvalidClientMetadata, ChangedMeanwhile."""
        before = await self._client(client_id)
        after = await self._checked(before, fields)
        if after == before:
            return before
        return await self._replace(before, after, "client_updated", ", ".join(chosen(fields)))

    async def cut_off_client(self, client_id: str) -> Client:
        """Void everything that it was issued until now. Raises NotFound, ChangedMeanwhile."""
        before = await self._client(client_id)
        return await self._replace(before, replace(before, epoch=before.epoch + 1))

    async def rotate_secret(self, client_id: str, overlap: int = 0) -> tuple[Client, str]:
        """A new secret; the one before it stays good for `overlap` seconds, and no other does."""
        before, now = await self._client(client_id), self.clock.now()
        if before.is_public:
            raise InvalidClientMetadata(f"A {before.kind} client is public: it has no secret.")
        if not before.has_secret:
            raise InvalidClientMetadata(f"With {before.token_endpoint_auth_method} a client has keys and no secret.")
        if not 0 <= overlap <= LONGEST_SECRET_OVERLAP:
            raise InvalidClientMetadata(f"overlap must be between 0 and {LONGEST_SECRET_OVERLAP} seconds.")
        secret = new_secret(self.entropy)
        secrets = (self._digest(secret, before), *_still_good(before.secrets, now, overlap))
        return await self._replace(before, replace(before, secrets=secrets), "client_secret_rotated"), secret

    def _with_secret(self, client: Client, chosen: str | None = None) -> tuple[Client, str | None]:
        """Its first one, if it is of those that have one."""
        if not client.has_secret:
            return client, None
        secret = chosen or new_secret(self.entropy)
        return replace(client, secrets=(self._digest(secret, client),)), secret

    def _digest(self, secret: str, client: Client) -> SecretDigest:
        """At rest. Raises InvalidClientMetadata where it is too short to sign with (RFC 7518 §3.2)."""
        signs = client.signs_with_secret
        if signs and len(secret) < SHORTEST_SIGNING_SECRET:
            raise InvalidClientMetadata(f"A secret to sign with has at least {SHORTEST_SIGNING_SECRET} characters.")
        return secret_digest(secret, self.keys, self.clock.now(), sealed_for=client.client_id if signs else "")

    async def remove_client(self, client_id: str) -> Client:
        """Raises NotFound, ChangedMeanwhile. What it was issued is void without it."""
        client = await self._client(client_id)
        await self._apply(RemoveClient(client.client_id, client.version), client.client_id, ("client_removed", ""))
        return client

    async def _client(self, client_id: str) -> Client:
        client = await self.store.client(client_id)
        if client is None:
            raise NotFound(f"There is no client {client_id[:256]}.")
        return client

    async def _checked(self, client: Client, fields: ClientFields) -> Client:
        """The client with these choices. What is amiss elsewhere must not keep anybody from disabling them."""
        client = checked_client(fields.on(client), self._known_grants, self._known_strategies)
        if fields.metadata is not UNSET:
            check_metadata({n: v for n, v in fields.metadata.items() if v is not None}, self._known_metadata)
        audience = fields.default_audience
        if audience and await self.store.api(audience) is None:
            raise InvalidClientMetadata(
                f"default_audience names no API of this server: register {audience[:500]} first."
            )
        if chosen(fields).keys() - {"enabled"}:
            for check in self._client_checks:
                await check(client)
        return client

    async def _replace(self, before: Client, after: Client, name: EventName | None = None, reason: str = "") -> Client:
        told: list[tuple[EventName, str]] = [(name, reason)] if name else []
        if after.epoch > before.epoch:
            told.append(("cut_off_raised", "operator" if after.enabled else "disabled"))
        after = replace(after, version=before.version + 1)
        await self._apply(ReplaceClient(after), after.client_id, *told)
        return after

    # APIs

    async def add_api(self, identifier: str, fields: ApiFields) -> Api:
        """Raises InvalidClientMetadata, AlreadyExists."""
        api = replace(Api(identifier, self.clock.now()), **chosen(fields))
        checked_api(api, self._known_formats)
        if await self.store.api(identifier):
            raise AlreadyExists(f"There is an API {identifier} already.")
        await self.keys.provide(api.signing_alg)  # so its key is in the JWKS before the API's first token
        await self._apply(InsertApi(api), identifier, ("api_added", ""))
        return api

    async def update_api(self, identifier: str, fields: ApiFields) -> Api:
        """Raises NotFound, InvalidClientMetadata, ChangedMeanwhile."""
        before = await self._api(identifier)
        after = checked_api(replace(before, **chosen(fields)), self._known_formats)
        if after == before:
            return before
        after = replace(after, version=after.version + 1)
        await self.keys.provide(after.signing_alg)
        await self._apply(ReplaceApi(after), identifier, ("api_updated", ", ".join(chosen(fields))))
        return after

    async def remove_api(self, identifier: str) -> Api:
        """Raises NotFound, ChangedMeanwhile."""
        api = await self._api(identifier)
        await self._apply(RemoveApi(identifier, api.version), identifier, ("api_removed", ""))
        return api

    async def _api(self, identifier: str) -> Api:
        api = await self.store.api(identifier)
        if api is None:
            raise NotFound(f"There is no API {identifier[:500]}.")
        return api

    async def _apply(self, part: Part, about: str, *told: tuple[EventName, str]) -> None:
        """The part and its events (each a name and a reason) in one commit. Raises ChangedMeanwhile."""
        now = self.clock.now()
        client_id = "" if isinstance(part, InsertApi | ReplaceApi | RemoveApi) else about
        events = [Event(name, now, about=about, client_id=client_id, reason=reason) for name, reason in told]
        try:
            await self.store.apply(Changes((part,), tuple(events)))
        except Conflict:
            raise ChangedMeanwhile from None

    def _new_id(self) -> str:
        """Sixteen letters and digits; never used twice, so that no client inherits another's tokens."""
        return base64.b32encode(self.entropy.token_bytes(10)).decode().lower()


def _still_good(secrets: tuple[SecretDigest, ...], now: Instant, overlap: int) -> tuple[SecretDigest, ...]:
    """The newest secret with its new end, if it has not ended before."""
    if not secrets or not overlap:
        return ()
    newest = max(secrets, key=lambda secret: secret.created_at)
    end = Instant(now + overlap)
    return (replace(newest, expires_at=min(end, newest.expires_at or end)),)
