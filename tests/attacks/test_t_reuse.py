"""Attacks by whoever holds an old refresh token (rows T1, T4, T5, T7, T9, T22), over HTTP: KILL, always."""

from pathlib import Path

import pytest

from tests.attacks.outcomes import (
    AFTER_EVERY_OVERLAP,
    active,
    assert_killed,
    assert_refused,
    assert_unharmed,
    audited,
    chained,
    noticed,
    ongoing,
    signed_in,
)
from tests.serving import API, Detent, running

pytestmark = pytest.mark.quick

detent = ongoing

DAY = 86400


@pytest.mark.parametrize("client", ["testclient", "other", "spa", "app"])
def test_attack_t1_rfc9700_4_14_reuse_after_the_successor_was_used_kills_the_family(
    detent: Detent, client: str
) -> None:
    """The webhook half of T1 comes with webhooks; here the audit log of the store and the sink are told."""
    chain = chained(detent, client, 3)
    family = detent.family(chain[0]["refresh_token"], client)

    reuse = detent.refresh(client, chain[0]["refresh_token"])

    assert_refused(reuse)
    assert_killed(detent, client, chain)
    [event] = audited(detent, family.key.text, "reuse_detected")
    assert noticed(detent, "reuse_detected") == [event]
    assert event.support_id == reuse.json()["support_id"]
    assert (event.client_id, event.subject) == (client, detent.user("test").subject)
    assert (event.presented, event.generation) == (1, 3)


def test_attack_t1_rfc9700_4_14_the_kill_reaches_every_jwt_of_the_family_and_no_other_family(detent: Detent) -> None:
    """An API that checks JWTs by itself sees a KILL with token status lists; until then at the token's end."""
    elsewhere, stolen = (detent.sign_in(scope="openid read", resource=API) for _ in range(2))
    chain = [elsewhere, stolen]
    for _ in range(2):
        chain.append(detent.refreshed("testclient", chain[-1]["refresh_token"]))
    before = [_good(detent, tokens["access_token"]) for tokens in chain]

    assert_refused(detent.refresh("testclient", stolen["refresh_token"]))

    assert before == [(True, 200)] * 4
    assert [_good(detent, tokens["access_token"]) for tokens in chain] == [(True, 200), *[(False, 401)] * 3]
    assert detent.refresh("testclient", elsewhere["refresh_token"]).status_code == 200


def _good(detent: Detent, access_token: str) -> tuple[bool, int]:
    """What introspection and userinfo say of it."""
    userinfo = detent.http.get("/userinfo", headers={"Authorization": f"Bearer {access_token}"})
    return detent.introspect(access_token)["active"], userinfo.status_code


def test_attack_t1_rfc9700_4_14_a_kind_that_suspects_marks_the_family_and_the_next_sign_in_kills_it(
    detent: Detent,
) -> None:
    """`cli` stands for shared token stores, where an old copy is more often an accident than a thief."""
    chain = chained(detent, "cli", 3)
    family = detent.family(chain[0]["refresh_token"], "cli")

    assert_refused(detent.refresh("cli", chain[0]["refresh_token"]))

    [event] = audited(detent, family.key.text, "suspected")
    assert noticed(detent, "suspected") == [event]
    detent.clock.advance(AFTER_EVERY_OVERLAP)
    chain.append(detent.refreshed("cli", chain[-1]["refresh_token"]))
    assert detent.family(chain[0]["refresh_token"], "cli").idle_until == family.idle_until, "it slides no more"
    signed_in(detent, "cli")
    assert_killed(detent, "cli", chain)


@pytest.mark.parametrize("refreshes", [0, 1, 3])
def test_attack_t4_rfc9700_4_14_leapfrog_ends_at_the_second_collision(detent: Detent, refreshes: int) -> None:
    """Two hold the same token and come late, in turns. Which of them is the thief makes no difference."""
    stolen, leader = chained(detent, "app", 2)
    detent.clock.advance(AFTER_EVERY_OVERLAP)
    follower = [detent.refreshed("app", stolen["refresh_token"])]  # the first: a lost answer looks the same
    assert follower[0]["refresh_token"] != leader["refresh_token"]
    for _ in range(refreshes):
        detent.clock.advance(AFTER_EVERY_OVERLAP)
        follower.append(detent.refreshed("app", follower[-1]["refresh_token"]))

    assert_refused(detent.refresh("app", leader["refresh_token"]))  # the second

    assert_killed(detent, "app", [stolen, leader, *follower])


@pytest.mark.parametrize("client", ["testclient", "spa"])
def test_attack_t4_rfc9700_4_14_a_strict_kind_knows_no_leapfrog(detent: Detent, client: str) -> None:
    stolen = signed_in(detent, client)
    leader = detent.refreshed(client, stolen["refresh_token"])
    assert_refused(detent.refresh(client, stolen["refresh_token"]))
    assert_killed(detent, client, [stolen, leader])


def test_attack_t4_rfc9700_4_14_a_thief_who_shadows_every_rotation_is_left_behind_and_then_caught(
    detent: Detent,
) -> None:
    """The thief repeats each rotation within the overlap, from the owner's machine and network as far as we can see."""
    owner = thief = signed_in(detent, "app")["refresh_token"]
    shadows: list[int] = []
    while 400 not in shadows and len(shadows) < 10:
        detent.clock.advance(AFTER_EVERY_OVERLAP)
        owner = detent.refreshed("app", owner)["refresh_token"]
        detent.clock.advance(5)
        answer = detent.refresh("app", thief)
        thief = answer.json().get("refresh_token", thief)
        shadows.append(answer.status_code)

    assert shadows == [200, 200, 200, 200, 400], "three successors, then an access token only, then KILL"
    assert_refused(detent.refresh("app", owner))


@pytest.mark.parametrize("seconds_later", [0, 1, 59])
def test_attack_t5_rfc9700_4_14_a_grandparent_inside_the_overlap_kills(detent: Detent, seconds_later: int) -> None:
    chain = chained(detent, "app", 3)
    detent.clock.advance(seconds_later)
    assert_refused(detent.refresh("app", chain[0]["refresh_token"]))
    assert_killed(detent, "app", chain)


@pytest.mark.parametrize("seconds_later", [0, 59])
def test_attack_t5_rfc9700_4_14_a_superseded_token_inside_the_overlap_kills(detent: Detent, seconds_later: int) -> None:
    parent, superseded = chained(detent, "app", 2)
    detent.clock.advance(AFTER_EVERY_OVERLAP)
    head = detent.refreshed("app", parent["refresh_token"])
    detent.clock.advance(seconds_later)
    assert_refused(detent.refresh("app", superseded["refresh_token"]))
    assert_killed(detent, "app", [parent, superseded, head])


@pytest.mark.parametrize(("client", "ancestor"), [("testclient", 0), ("testclient", 1), ("app", 0)])
def test_attack_t7_rfc9700_4_14_a_consumed_token_is_known_after_a_restart(
    tmp_path: Path, keys_folder: Path, client: str, ancestor: int
) -> None:
    """Upgrades come with the second schema, a change of node with a store that nodes share."""
    with running(tmp_path, keys_folder) as before:
        chain = chained(before, client, 3)
    with running(tmp_path, keys_folder, clock=before.clock) as after:
        assert active(after, *chain) == [True] * 3
        assert_refused(after.refresh(client, chain[ancestor]["refresh_token"]))
        assert_killed(after, client, chain)


@pytest.mark.parametrize("client", ["testclient", "app"])
def test_attack_t7_rfc9700_4_14_the_dead_are_dead_after_a_restart_and_the_living_live(
    tmp_path: Path, keys_folder: Path, client: str
) -> None:
    with running(tmp_path, keys_folder) as before:
        killed, alive = (chained(before, client, 3) for _ in range(2))
        assert_refused(before.refresh(client, killed[0]["refresh_token"]))
    with running(tmp_path, keys_folder, clock=before.clock) as after:
        assert_killed(after, client, killed)
        assert_unharmed(after, client, alive)


def test_attack_t7_fapi2_5_3_2_1_9_an_answer_lost_in_the_restart_comes_again(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder) as before:
        chain = chained(before, "app", 2)
    with running(tmp_path, keys_folder, clock=before.clock) as after:
        assert after.refreshed("app", chain[0]["refresh_token"])["refresh_token"] == chain[1]["refresh_token"]


@pytest.mark.parametrize("client", ["testclient", "app"])
@pytest.mark.parametrize("ancestor", [0, 1, 2, 3])
def test_attack_t9_rfc9700_4_14_any_ancestor_kills_at_any_age_and_after_every_sweep(
    detent: Detent, client: str, ancestor: int
) -> None:
    chain = [signed_in(detent, client)]
    for _ in range(5):
        detent.clock.advance(13 * DAY)
        chain.append(detent.refreshed(client, chain[-1]["refresh_token"]))
        detent.thread.call(detent.store.sweep(detent.clock.now(), retention=0))
    assert active(detent, chain[-1]) == [True]

    assert_refused(detent.refresh(client, chain[ancestor]["refresh_token"]))

    assert_killed(detent, client, chain)


@pytest.mark.parametrize("client", ["testclient", "app"])
def test_attack_t22_rfc9700_4_14_consumed_and_expired_is_reuse_while_the_family_lives(
    detent: Detent, client: str
) -> None:
    first = signed_in(detent, client)
    idle = detent.family(first["refresh_token"], client).idle_until - detent.clock.now()
    chain = [first]
    for _ in range(2):
        detent.clock.advance(idle * 2 // 3)
        chain.append(detent.refreshed(client, chain[-1]["refresh_token"]))
    assert active(detent, chain[-1]) == [True]

    assert_refused(detent.refresh(client, first["refresh_token"]))  # its own idle life passed long ago

    assert_killed(detent, client, chain)
    assert len(noticed(detent, "reuse_detected")) == 1


def test_attack_t22_rfc9700_4_14_nothing_of_an_expired_family_is_killed_again(detent: Detent) -> None:
    chain = chained(detent, "app", 3)
    detent.clock.advance(31 * DAY)
    assert_refused(detent.refresh("app", chain[0]["refresh_token"]))
    assert noticed(detent, "reuse_detected") == []
