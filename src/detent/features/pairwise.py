"""Pairwise subjects (OpenID Connect Core §8.1): a person is somebody else in every sector, so nobody can join notes.

`sub` is a keyed MAC over sector and person. The key is the installation's first pepper, which no rotation drops but
one after a compromise. The sector is the host of the client's `sector_identifier_uri`, whose document must list every
redirect URI (OpenID Connect Dynamic Client Registration §5), or else the one host of its redirect URIs.
"""

from hashlib import blake2b
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from detent.core.base64url import base64url
from detent.core.client import LOOPBACK_HOSTS, Client, check_shown_uri
from detent.core.errors import InvalidClientMetadata, UnauthorizedClient
from detent.core.ids import Subject
from detent.core.policy import FAMILY
from detent.ports import Keys
from detent.registry.feature import Feature
from detent.registry.tokens import SUBJECT_TYPE
from detent.resource_server.errors import Unavailable
from detent.resource_server.fetch import Fetch

SECTOR_URI: Final = "sector_identifier_uri"


class Pairwise:
    name = "pairwise"

    def __init__(self, keys: Keys, fetch: Fetch) -> None:
        self._keys = keys
        self._fetch = fetch

    def told(self, subject: Subject, client: Client) -> str:
        sector = sector_of(client)
        if not sector:
            raise UnauthorizedClient(f"This client has no sector any more: it needs a {SECTOR_URI}.")
        peppers = self._keys.pepper().keys
        content = f"{sector}\0{subject}".encode()
        digest = blake2b(content, key=peppers[min(peppers)], person=b"detent pairwise", digest_size=24).digest()
        return base64url(digest)

    async def check(self, client: Client) -> None:
        """Raises InvalidClientMetadata."""
        uri = client.extra.get(SECTOR_URI)
        if uri is not None:
            await self._check_document(uri, client)
        if client.extra.get(SUBJECT_TYPE) != self.name:
            return
        if not sector_of(client):
            raise InvalidClientMetadata(
                f"subject_type pairwise needs a {SECTOR_URI}, or redirect URIs that all have one host that is the "
                "client's own (OpenID Connect Core 8.1)."
            )
        if client.refresh_strategy != FAMILY:
            raise InvalidClientMetadata("A JWT refresh token says who the person is: pairwise needs family.")

    async def _check_document(self, uri: str, client: Client) -> None:
        """Whatever keeps it from being read is told in one sentence: who registers is not told what lives where."""
        check_shown_uri(uri)
        try:
            answer = await self._fetch(uri, headers={"Accept": "application/json"})
            listed = msgspec.json.decode(answer.body if answer.status == 200 else b"", type=list[str])
        except (Unavailable, msgspec.DecodeError, RecursionError) as error:
            raise InvalidClientMetadata(
                f"{SECTOR_URI} must be answered, from a public address, with a JSON array of redirect URIs.",
                detail=str(error),
            ) from None
        if missing := [each for each in client.redirect_uris if each not in listed]:
            raise InvalidClientMetadata(f"{SECTOR_URI} does not list {missing[0][:500]}.")


def sector_of(client: Client) -> str:
    """Empty where it has none of its own: loopback and private schemes are everybody's."""
    named = client.extra.get(SECTOR_URI)
    hosts = {urlsplit(uri).hostname or "" for uri in ([named] if named else client.redirect_uris)}
    sector = hosts.pop() if len(hosts) == 1 else ""
    return sector if named or sector not in LOOPBACK_HOSTS else ""


def feature(keys: Keys, fetch: Fetch) -> Feature:
    pairwise = Pairwise(keys, fetch)
    return Feature(
        "pairwise",
        ("OpenID Connect Core §8", "OpenID Connect Dynamic Client Registration §5"),
        subject_types=(pairwise,),
        client_metadata={SUBJECT_TYPE: Literal["public", "pairwise"], SECTOR_URI: str},
        client_checks=(pairwise.check,),
    )
