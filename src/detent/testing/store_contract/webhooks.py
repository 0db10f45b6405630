"""Webhooks: inserted once, replaced and removed if nobody else did it first."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import asyncio
from typing import Any

import msgspec

from detent.core.changes import InsertWebhook, RemoveWebhook, ReplaceWebhook
from detent.core.webhook import SecretSeed, Webhook
from detent.testing.factories import NOW
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write


def a_webhook(name: str = "one", **fields: Any) -> Webhook:
    plain = Webhook(name, "https://hook.example/", ("reuse_detected",), NOW, (SecretSeed(1, bytes(16)),), 0)
    return msgspec.structs.replace(plain, **fields)


class WebhookContract(Contract):
    async def test_webhooks_are_listed_by_id_as_they_are_now(self, store: CompleteStore) -> None:
        assert not await store.webhooks()
        await write(store, InsertWebhook(a_webhook("two")), InsertWebhook(a_webhook("one", cursor=2**40)))
        assert list(await store.webhooks()) == [a_webhook("one", cursor=2**40), a_webhook("two")]
        moved = a_webhook("two", version=2, cursor=7, last_error="é", failures=3)
        await write(store, ReplaceWebhook(moved), RemoveWebhook("one", 1))
        assert list(await store.webhooks()) == [moved]

    async def test_a_webhook_is_changed_by_whoever_saw_it_as_it_is(self, store: CompleteStore) -> None:
        await write(store, InsertWebhook(a_webhook()))
        assert await conflicts(store, InsertWebhook(a_webhook()))
        assert await conflicts(store, ReplaceWebhook(a_webhook(version=3)))
        assert await conflicts(store, ReplaceWebhook(a_webhook("two", version=2)))
        assert await conflicts(store, RemoveWebhook("one", 2))
        tried = [a_webhook(version=2, cursor=node) for node in range(8)]
        lost = await asyncio.gather(*(conflicts(store, ReplaceWebhook(each)) for each in tried))
        assert lost.count(False) == 1
        assert list(await store.webhooks()) == [tried[lost.index(False)]]
