"""An endpoint that events are sent to, on a real socket, and the courier that sends them."""

import base64
import hmac
import json
from typing import Any, Final

import msgspec

from detent.admin.webhooks import Webhooks
from detent.core.changes import ReplaceWebhook
from detent.core.webhook import Webhook
from detent.web.outbound import LOOPBACK, Outbound
from detent.webhooks.courier import Courier
from tests.receiving import Receiving
from tests.serving import Detent

SECONDS: Final = 60


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


class Receiver(Receiving[Received]):
    path = "hook?token=hidden"
    done = 204
    hanging_seconds = 3

    def read(self, method: str, headers: dict[str, str], body: bytes) -> Received:
        return Received(headers, body)

    def next(self) -> Received:
        return self.got.get(timeout=SECONDS)


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
