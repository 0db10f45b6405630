"""An endpoint that events are sent to, on a real socket, and the courier that sends them."""

import asyncio
import base64
import hmac
import json
import queue
from collections import deque
from typing import Any, Final

import msgspec

from detent.admin.webhooks import Webhooks
from detent.core.changes import ReplaceWebhook
from detent.core.webhook import Webhook
from detent.testing.server import Loopback
from detent.web.asgi import Receive, Scope, Send
from detent.web.outbound import LOOPBACK, Outbound
from detent.webhooks.courier import Courier
from tests.serving import Detent

HANG: Final = 0
SECONDS: Final = 10
HANGING_SECONDS: Final = 3


class Received:
    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers = headers
        self.body = body
        self.document: dict[str, Any] = json.loads(body)
        self.type: str = self.document["type"]
        self.seq: int = self.document["data"].get("seq", 0)
        self.id = headers["webhook-id"]

    def is_signed_with(self, shown: str) -> bool:
        """As a receiver that read the specification would check it."""
        assert shown.startswith("whsec_")
        secret = base64.b64decode(shown.removeprefix("whsec_"))
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(secret, signed, "sha256").digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


class Receiver:
    """Answers with the statuses that were told, then with 204; everything it got is in `got`."""

    def __init__(self, *statuses: int, at: Loopback | None = None) -> None:
        self.statuses = deque(statuses)
        self.got: queue.Queue[Received] = queue.Queue()
        self.at = at or Loopback()
        self.url = f"{self.at.url}hook?token=hidden"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.got.put(Received(headers, body))
        status = self.statuses.popleft() if self.statuses else 204
        if status == HANG:
            await asyncio.sleep(HANGING_SECONDS)
        elsewhere = [(b"location", self.at.url.encode())] if 300 <= status < 400 else []
        await send({"type": "http.response.start", "status": status or 204, "headers": elsewhere})
        await send({"type": "http.response.body", "body": b""})

    def next(self) -> Received:
        return self.got.get(timeout=SECONDS)

    def all(self) -> list[Received]:
        """Those that came so far."""
        return [self.got.get() for _ in range(self.got.qsize())]


class Post:
    """A served house with its courier. Time is the house's clock, so nothing is retried before it moves."""

    def __init__(self, detent: Detent, *, seconds: float = SECONDS) -> None:
        outside = detent.house.outside
        self.detent = detent
        self.ports = (outside.store, outside.directory, outside.keys, outside.clock, outside.entropy)
        self.webhooks = Webhooks(*self.ports)
        self.seconds = seconds
        self.courier = self.another()

    def another(self) -> Courier:
        """Another node's, or this one's after a restart."""
        return Courier(*self.ports, Outbound(LOOPBACK, seconds=self.seconds))

    def serve(self, receiver: Receiver) -> Receiver:
        self.detent.thread.serve(receiver, receiver.at)
        return receiver

    def add(self, url: str, *events: str) -> tuple[Webhook, str]:
        return self.detent.thread.call(self.webhooks.add(url, events or ("reuse_detected",)))

    def round(self, courier: Courier | None = None) -> None:
        self.detent.thread.call((courier or self.courier).round())

    def state(self, webhook: Webhook) -> Webhook:
        return self.detent.thread.call(self.webhooks.find(webhook.id))

    def replace(self, webhook: Webhook, **change: Any) -> None:
        """As somebody else's write would."""
        changed_one = msgspec.structs.replace(webhook, version=webhook.version + 1, **change)
        self.detent.apply(ReplaceWebhook(changed_one))

    def owed(self, webhook: Webhook) -> int:
        return self.detent.thread.call(self.webhooks.owed(self.state(webhook)))

    def theft(self) -> None:
        first = self.detent.sign_in("testclient")["refresh_token"]
        self.detent.refreshed("testclient", first)
        assert self.detent.refresh("testclient", first).status_code == 400
