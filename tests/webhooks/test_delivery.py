"""Events arrive, signed, in order, at least once, whatever the endpoint does; and nobody else waits for it."""

import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from detent.core.changes import Changes
from detent.core.retrying import LEASE, LONGEST_RETRY
from detent.testing.factories import an_event
from detent.testing.server import Loopback
from tests.receiving import HANG
from tests.serving import Detent, running
from tests.webhooks.receiver import Post, Receiver


@pytest.mark.quick
def test_a_theft_over_http_arrives_within_a_second_or_so_with_a_signature_that_verifies(
    post: Post, receiver: Receiver
) -> None:
    _, secret = post.add(receiver.url)
    running = post.detent.thread.submit(post.courier.run())
    try:
        before = time.monotonic()
        post.theft()
        got = receiver.next()
        assert time.monotonic() - before < 10
    finally:
        running.cancel()
    [event] = [event for event in post.detent.sink.events if event.name == "reuse_detected"]
    assert got.is_signed_with(secret)
    assert not got.is_signed_with(post.add(receiver.url)[1])
    assert got.type == "reuse_detected"
    assert got.document["timestamp"].endswith("Z")
    data = got.document["data"]
    assert (data["about"], data["client_id"], data["presented"]) == (event.about, "testclient", event.presented)
    assert data["told"].startswith("Refresh token 1 had been used before")
    assert got.headers["content-type"] == "application/json"


@pytest.mark.quick
def test_events_arrive_in_order_each_once_and_only_those_that_were_asked_for(post: Post, receiver: Receiver) -> None:
    everything = post.serve(Receiver())
    post.add(receiver.url, "reuse_detected")
    post.add(everything.url, "all")
    for _ in range(3):
        post.theft()
    post.round()
    post.round()
    got, seqs = receiver.all(), [each.seq for each in everything.all()]
    assert [each.type for each in got] == ["reuse_detected"] * 3
    assert seqs == sorted(set(seqs))
    assert {each.seq for each in got} < set(seqs)
    assert len({each.id for each in got}) == 3


def test_what_happened_before_it_was_added_is_not_sent(post: Post, receiver: Receiver) -> None:
    post.theft()
    post.add(receiver.url)
    post.round()
    assert receiver.all() == []


@pytest.mark.parametrize("status", [400, 404, 500, 503, 301, 307, 304])
def test_an_endpoint_that_does_not_answer_2xx_gets_the_event_again_later_and_nothing_in_between(
    post: Post, receiver: Receiver, status: int
) -> None:
    webhook, _ = post.add(receiver.url)
    receiver.statuses.extend([status, status])
    post.theft()
    post.theft()
    post.round()
    post.round()
    [first] = receiver.all()
    failing = post.state(webhook)
    assert (failing.state, failing.failures, failing.failing_since) == ("failing", 1, post.detent.clock.now())
    assert f"answered {status}" in failing.last_error
    assert post.owed(webhook) == 2
    post.detent.clock.advance(10)
    post.round()
    post.detent.clock.advance(30)
    post.round()
    again, *rest = receiver.all()
    assert again.id == first.id
    assert [each.seq for each in rest] == [first.seq, rest[-1].seq]
    assert rest[-1].seq > first.seq
    assert (post.state(webhook).state, post.state(webhook).last_error, post.owed(webhook)) == ("active", "", 0)


def test_retries_come_ever_more_rarely_up_to_hours_and_never_end(detent: Detent) -> None:
    post, silent = Post(detent, seconds=0.01), Loopback()  # it listens, and answers nobody
    webhook, _ = post.add(silent.url)
    post.theft()
    waits = []
    for _ in range(12):
        post.round()
        waits.append(post.state(webhook).retry_at - post.detent.clock.now())
        post.detent.clock.advance(waits[-1])
    assert 4 <= waits[0] <= 6
    assert all(later > earlier for earlier, later in pairwise(waits[:8]))
    assert 0.8 * LONGEST_RETRY <= waits[-1] <= 1.2 * LONGEST_RETRY
    assert "no answer within" in post.state(webhook).last_error
    assert post.owed(webhook) == 1
    silent.socket.close()


def test_attack_l1_what_a_url_holds_and_the_secret_stand_in_no_log(
    post: Post, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    webhook, secret = post.add(receiver.url)
    receiver.statuses.extend([500, 302, 410])
    post.theft()
    for _ in range(3):
        post.round()
        post.detent.clock.advance(60)
    told = caplog.text + "".join(map(repr, post.detent.sink.events))
    assert caplog.text.count(f"Webhook {webhook.id} got no event") == 3
    assert "hidden" in receiver.url
    assert "hidden" not in told
    assert secret.removeprefix("whsec_") not in told


def test_a_redirect_is_not_followed(post: Post, receiver: Receiver) -> None:
    webhook, _ = post.add(receiver.url)
    receiver.statuses.append(302)
    post.theft()
    post.round()
    assert len(receiver.all()) == 1
    assert "redirects are not followed" in post.state(webhook).last_error


def test_an_endpoint_that_says_gone_is_left_alone_visibly_and_enabled_gets_what_it_was_owed(
    post: Post, receiver: Receiver
) -> None:
    webhook, _ = post.add(receiver.url)
    receiver.statuses.append(410)
    post.theft()
    post.round()
    post.detent.clock.advance(LONGEST_RETRY * 2)
    post.round()
    assert len(receiver.all()) == 1
    assert (post.state(webhook).state, post.state(webhook).disabled) == ("disabled", "answered 410")
    events = post.detent.thread.call(post.detent.store.events(about=webhook.id))
    assert [event.name for _, event in events] == ["webhook_added", "webhook_disabled"]
    post.theft()
    post.detent.thread.call(post.webhooks.enable(webhook.id))
    post.round()
    assert len(receiver.all()) == 2


@pytest.mark.slow
def test_an_endpoint_that_hangs_holds_up_nobody(post: Post, receiver: Receiver) -> None:
    hanging = post.serve(Receiver(HANG))
    post.add(hanging.url)
    post.add(receiver.url)
    running = post.detent.thread.submit(post.courier.run())
    try:
        post.theft()
        hanging.next()
        assert receiver.next().type == "reuse_detected"
        post.theft()
        assert receiver.next().type == "reuse_detected"
        assert post.detent.sign_in("app")
    finally:
        running.cancel()
    assert hanging.all() == []


def test_nobody_at_the_address_is_a_failure_and_the_endpoint_that_comes_back_gets_it(post: Post) -> None:
    receiver = Receiver()
    webhook, _ = post.add(receiver.url.replace("127.0.0.1", "127.0.0.2"))
    post.theft()
    post.round()
    assert "no connection" in post.state(webhook).last_error
    post.replace(post.state(webhook), url=receiver.url)
    post.serve(receiver)
    post.detent.clock.advance(10)
    post.round()
    assert len(receiver.all()) == 1


def test_a_restart_in_between_delivers_what_was_not_acknowledged_and_nothing_else(
    tmp_path: Path, keys_folder: Path
) -> None:
    receiver = Receiver(204, 500)
    with running(tmp_path, keys_folder) as served:
        post = Post(served)
        post.serve(receiver)
        _, secret = post.add(receiver.url)
        post.theft()
        post.round()
        post.theft()
        post.round()
        post.theft()
    first, failed = receiver.all()
    receiver.at = Loopback()
    with running(tmp_path, keys_folder, clock=served.clock) as served:
        post = Post(served)
        [webhook] = served.thread.call(served.store.webhooks())
        post.replace(webhook, url=receiver.at.url)
        post.serve(receiver)
        served.clock.advance(10)
        post.round()
    again, last = receiver.all()
    assert again.id == failed.id != first.id
    assert last.seq > again.seq
    assert all(each.is_signed_with(secret) for each in (first, failed, again, last))


def test_of_several_nodes_one_delivers_and_another_goes_on_when_it_dies(post: Post, receiver: Receiver) -> None:
    webhook, _ = post.add(receiver.url)
    nodes = [post.another() for _ in range(4)]
    post.theft()
    rounds = [post.detent.thread.submit(node.round()) for node in nodes]
    for each in rounds:
        each.result()
    assert len(receiver.all()) == 1
    post.replace(post.state(webhook), node="a node that died", leased_until=post.detent.clock.now() + LEASE)
    post.theft()
    post.round()
    assert receiver.all() == []
    post.detent.clock.advance(LEASE)
    post.round()
    assert len(receiver.all()) == 1


def test_a_rotated_secret_signs_beside_the_former_one_until_the_overlap_ends(post: Post, receiver: Receiver) -> None:
    webhook, former = post.add(receiver.url)
    _, secret = post.detent.thread.call(post.webhooks.rotate_secret(webhook.id, 60))
    post.theft()
    post.round()
    post.detent.clock.advance(60)
    post.theft()
    post.round()
    both, alone = receiver.all()
    assert [each.is_signed_with(secret) for each in (both, alone)] == [True, True]
    assert [each.is_signed_with(former) for each in (both, alone)] == [True, False]


def test_a_long_log_of_other_things_is_read_once_and_not_again_after_a_restart(post: Post, receiver: Receiver) -> None:
    webhook, _ = post.add(receiver.url)
    post.detent.thread.call(post.detent.store.apply(Changes((), tuple(an_event() for _ in range(1500)))))
    post.round()
    before = post.detent.statements().reads
    post.round()
    assert post.detent.statements().reads - before == 2, "which webhooks there are, and that nothing is new"
    assert post.state(webhook).cursor >= 1000
    post.theft()
    post.round()
    assert len(receiver.all()) == 1


def test_an_event_that_cannot_be_read_is_left_out_and_holds_up_nothing(
    post: Post, receiver: Receiver, tmp_path: Path
) -> None:
    post.add(receiver.url)
    post.theft()
    post.theft()
    with closing(apsw.Connection(str(tmp_path / "detent.db"))) as db:
        db.execute("UPDATE event SET body = '[' WHERE seq = (SELECT min(seq) FROM event WHERE name = 'reuse_detected')")
    post.round()
    assert len(receiver.all()) == 1


@pytest.mark.parametrize("strategy", ["no webhook", "a webhook"])
def test_a_refresh_is_one_read_one_update_and_no_insert_with_and_without_webhooks(
    detent: Detent, strategy: str
) -> None:
    post = Post(detent)
    receiver = post.serve(Receiver())
    if strategy == "a webhook":
        post.add(receiver.url, "all")
    refresh_token = detent.sign_in("testclient")["refresh_token"]
    refresh_token = detent.refreshed("testclient", refresh_token)["refresh_token"]
    before = detent.statements()
    detent.refreshed("testclient", refresh_token)
    after = detent.statements()
    assert (after.writes - before.writes, after.inserts - before.inserts, after.commits - before.commits) == (1, 0, 1)
