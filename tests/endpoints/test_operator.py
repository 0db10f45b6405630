"""What operators read at their own address: metrics, health with reasons, liveness (attack M11)."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from detent.testing.server import Loopback
from tests.serving import Detent, running


@pytest.fixture
def served(tmp_path: Path, keys_folder: Path) -> Iterator[tuple[Detent, httpx.Client]]:
    with running(tmp_path, keys_folder, "sqlite", node="node-7") as detent:
        loopback = Loopback()
        detent.thread.serve(detent.house.operator_asgi, loopback)
        with httpx.Client(base_url=loopback.url) as operator:
            yield detent, operator


def scraped(operator: httpx.Client) -> dict[str, float]:
    """Each series with its value, as a scraper reads the page."""
    answer = operator.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def risen(operator: httpx.Client, before: dict[str, float], prefix: str) -> dict[str, float]:
    after = scraped(operator)
    return {
        name.removeprefix(prefix): value - before.get(name, 0)
        for name, value in after.items()
        if name.startswith(prefix) and value != before.get(name, 0)
    }


def test_refreshes_are_counted_by_what_became_of_them(served: tuple[Detent, httpx.Client]) -> None:
    detent, operator = served
    before = scraped(operator)
    first = detent.sign_in("app")["refresh_token"]
    second = detent.refreshed("app", first)["refresh_token"]
    detent.refreshed("app", first)
    detent.refreshed("app", second)
    detent.refresh("app", "dtrt_garbage")
    strict = detent.sign_in()["refresh_token"]
    detent.refreshed("testclient", strict)
    assert detent.refresh("testclient", strict).status_code == 400
    assert detent.refresh("testclient", strict).status_code == 400
    assert risen(operator, before, "detent_refreshes_total") == {
        "['', 'rotate']": 2,
        "['', 'repeat']": 1,
        "['', 'keep']": 1,
        "['not_ours', 'refused']": 1,
        "['reuse', 'reuse']": 1,
        "['compromised', 'refused']": 1,
    }
    assert risen(operator, before, "detent_tokens_issued_total") == {
        "['refresh_token']": 4,
        "['authorization_code']": 1,
        "['password']": 1,
    }
    assert risen(operator, before, "detent_errors_total") == {"['invalid_grant']": 3}


def test_every_answer_is_counted_and_timed_by_endpoint(served: tuple[Detent, httpx.Client]) -> None:
    detent, operator = served
    before = scraped(operator)
    for _ in range(3):
        detent.http.get("/.well-known/jwks.json")
    detent.http.get("/nowhere/at/all")
    detent.http.get("/oauth/token")
    told = risen(operator, before, "detent_requests_total")
    assert told == {"['/.well-known/jwks.json', '200']": 3, "['404', 'none']": 1, "['405', 'none']": 1}
    assert risen(operator, before, "detent_request_seconds_count")["['/.well-known/jwks.json']"] == 3
    inf = risen(operator, before, "detent_request_seconds_bucket")["['+Inf', '/.well-known/jwks.json']"]
    assert inf == 3, "buckets are cumulative"


def test_sign_ins_are_counted_by_outcome(served: tuple[Detent, httpx.Client]) -> None:
    detent, operator = served
    before = scraped(operator)
    detent.sign_in()
    for _ in range(12):
        detent.token(grant_type="password", username="test", password="wrong")
    outcomes = risen(operator, before, "detent_sign_ins_total")
    assert outcomes == {"['good']": 1, "['wrong']": 10, "['throttled']": 2}


def test_attack_m11_no_label_holds_what_a_client_sent(served: tuple[Detent, httpx.Client]) -> None:
    detent, operator = served
    canary = "canary-4711"
    tokens = detent.sign_in()
    detent.refresh("testclient", canary)
    detent.refresh(canary, tokens["refresh_token"])
    detent.token(grant_type=canary, username=canary, password=canary)
    detent.http.get(f"/{canary}?{canary}={canary}", headers={"X-Canary": canary, "User-Agent": canary})
    detent.http.request("GET", f"/static/{canary}")
    text = operator.get("/metrics").text
    for secret in (canary, "testclient", *tokens.values()):
        if isinstance(secret, str) and secret not in ("Bearer", "read write"):
            assert secret not in text


def test_openmetrics_is_told_to_who_asks_for_it(served: tuple[Detent, httpx.Client]) -> None:
    _, operator = served
    answer = operator.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_health_names_the_node_and_what_is_wrong_with_it(served: tuple[Detent, httpx.Client]) -> None:
    detent, operator = served
    assert operator.get("/health").json() == {"node": "node-7", "status": "ok", "reasons": []}

    detent.house.health.set("clock_off", "The clock is off.")
    answer = operator.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok"), "told, and no reason to send nobody there"
    assert answer.json()["reasons"] == [{"reason": "clock_off", "sentence": "The clock is off."}]
    detent.house.health.set("clock_off", "")

    detent.thread.call(detent.store.close())
    answer = operator.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unwell")
    assert [each["reason"] for each in answer.json()["reasons"]] == ["store_unreachable"]
    assert operator.get("/live").json() == {"node": "node-7", "status": "live"}, "no reason to start it again"
    assert operator.get("/metrics").status_code == 200


def test_attack_m11_the_world_is_told_whether_and_never_why(served: tuple[Detent, httpx.Client]) -> None:
    detent, _ = served
    detent.house.health.set("store_read_only", "The disk of node-7 is read-only.")
    answer = detent.http.get("/health")
    assert answer.status_code == 503
    assert not re.search("node-7|disk|read.only", answer.text)
    for path in ("/metrics", "/live"):
        assert detent.http.get(path).status_code == 404
