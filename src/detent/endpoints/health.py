"""Whether this node should get requests, and what is wrong with it: `/health`, and `/live` for operators.

The world is told whether, 200 or 503, and nothing else. Operators are told why and which node, at an address of their
own (endpoints/operator.py). Owns: the list of reasons. Leaves: noticing most of them, to what goes on beside the
requests; the store and the keys are asked at each request.
"""

import asyncio
import logging
from typing import Final, Literal, get_args

from detent.core.errors import StoreUnavailable, TemporarilyUnavailable
from detent.core.exchange import Request, Response
from detent.ports import Keys, Store
from detent.registry.routes import Route
from detent.web.respond import json_private

log = logging.getLogger("detent.health")

HEALTH_PATH: Final = "/health"
PATIENCE: Final = 2.0  # seconds for the store; probes give up after a few

Reason = Literal["draining", "store_unreachable", "store_read_only", "store_behind", "keys_missing", "clock_off"]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
BEARABLE: Final[frozenset[Reason]] = frozenset({"clock_off"})  # told, but the node goes on


class Health:
    """What speaks against this node; whoever notices something says so with `set`, empty for well again."""

    def __init__(self, node: str, store: Store, keys: Keys) -> None:
        self.node = node
        self._store = store
        self._keys = keys
        self._noticed: dict[Reason, str] = {}

    def set(self, reason: Reason, sentence: str) -> None:
        before = self._noticed.pop(reason, "")
        if sentence:
            self._noticed[reason] = sentence
        if bool(before) != bool(sentence):
            log.log(logging.WARNING if sentence else logging.INFO, "%s: %s", reason, sentence or "over")

    async def reasons(self) -> dict[Reason, str]:
        """All that is wrong now, in sentences for the operator."""
        self.set("store_unreachable", await self._store_fault())
        self.set("keys_missing", self._keys_fault())
        return dict(self._noticed)

    async def _store_fault(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._store.record("health", "probe")
        except TimeoutError:
            return f"The store did not answer within {PATIENCE:.0f} seconds."
        except StoreUnavailable as error:
            return str(error)
        return ""

    def _keys_fault(self) -> str:
        try:
            self._keys.handle_keys(), self._keys.pepper(), self._keys.signing_kid("RS256")
        except Exception as error:
            return f"A key that every answer needs is missing: {error}"
        return ""


def unbearable(reasons: dict[Reason, str]) -> list[Reason]:
    return [reason for reason in reasons if reason not in BEARABLE]


class HealthEndpoint:
    def __init__(self, health: Health) -> None:
        self._health = health

    def route(self) -> Route:
        return Route(HEALTH_PATH, ("GET",), self.handle)

    async def handle(self, request: Request) -> Response:
        if wrong := unbearable(await self._health.reasons()):
            detail = f"node {self._health.node}: {', '.join(wrong)}"
            raise TemporarilyUnavailable("This node is to get no requests now.", detail=detail, retry_after=1)
        return json_private({"status": "ok"})
