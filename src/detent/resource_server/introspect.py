"""Opaque tokens: ask the issuer, remember the answer for a few seconds.

Source: RFC 7662 §2, §4 (what caching costs), RFC 6749 §2.3.1 (Basic). The claims in the answer pass the same
checks as those of a JWT: verify.py. A revocation is seen here after `cache_seconds` at the latest.
Rule: no answer is never a yes; the cache knows tokens by digest only.
"""

import asyncio
import base64
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from detent.resource_server.compact import MAX_TOKEN_BYTES, load_object
from detent.resource_server.errors import InvalidToken, Unavailable
from detent.resource_server.fetch import Fetch, checked_url, fetch
from detent.resource_server.verify import Claims, Verifier

_TOKEN_TYPES: Final = ("bearer", "dpop")


@dataclass(frozen=True, slots=True)
class _Remembered:
    answer: Claims | str  # or the reason to refuse
    until: float


class Introspector:
    """Asks the introspection endpoint of `verifier.issuer` as the API that `client_id` names.

    An active answer must carry iss, sub, client_id, aud, exp and iat. `clock` tells seconds since the epoch.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: str,
        verifier: Verifier,
        fetch: Fetch = fetch,
        clock: Callable[[], float] = time.time,
        cache_seconds: float = 5,
        cache_size: int = 4_096,
    ) -> None:
        self.introspections = 0
        self._url = checked_url(url)
        self._authorization = _basic(client_id, client_secret)
        self._verifier = replace(verifier, required=("client_id",))
        self._fetch = fetch
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._cache_size = cache_size
        self._cache: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Remembered]] = {}

    async def claims(self, token: str) -> Claims:
        """What the issuer says of this token. Raises InvalidToken, or Unavailable without an answer."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise InvalidToken("the token is malformed")
        digest = hashlib.sha256(token.encode("ascii")).digest()
        known = self._cache.get(digest)
        if known is None or known.until <= self._clock():
            known = await asyncio.shield(self._asking.get(digest) or self._start(digest, token))
        else:
            self._cache.move_to_end(digest)
        if isinstance(known.answer, str):
            raise InvalidToken(known.answer)
        return known.answer

    def _start(self, digest: bytes, token: str) -> asyncio.Task[_Remembered]:
        """One request per token at a time: whoever else needs the answer waits for the same one."""
        task = self._asking[digest] = asyncio.create_task(self._ask(digest, token))
        task.add_done_callback(lambda _: self._asking.pop(digest))
        return task

    async def _ask(self, digest: bytes, token: str) -> _Remembered:
        self.introspections += 1
        response = await self._fetch(
            self._url,
            headers={
                "Authorization": self._authorization,
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            body=urlencode({"token": token, "token_type_hint": "access_token"}).encode(),
        )
        answer = load_object(response.body)
        if response.status != 200 or answer is None or not isinstance(answer.get("active"), bool):
            raise Unavailable("the introspection endpoint gave no answer")
        known = self._cache[digest] = self._judged(answer)
        self._cache.move_to_end(digest)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return known

    def _judged(self, answer: dict[str, Any]) -> _Remembered:
        now = self._clock()
        # RFC 7662 §2.1: the endpoint may know refresh tokens too, and those open nothing here.
        token_type = answer.get("token_type", "Bearer")
        if not answer["active"] or not isinstance(token_type, str) or token_type.lower() not in _TOKEN_TYPES:
            return _Remembered("the token is not active", now + self._cache_seconds)
        try:
            claims = self._verifier.check_claims(answer, now)
        except InvalidToken as refusal:
            return _Remembered(refusal.reason, now + self._cache_seconds)
        return _Remembered(claims, min(now + self._cache_seconds, claims.exp))


def _basic(client_id: str, client_secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
