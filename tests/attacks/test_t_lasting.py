"""What neither time, faults nor repetition change (rows T6, T18, T24, T25, T26, T27, C12, C14), over HTTP."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.outcomes import AFTER_EVERY_OVERLAP, assert_killed, assert_refused, chained, ongoing, signed_in
from tests.mission.test_a_tokens import claims_of
from tests.serving import Detent, running

detent = ongoing
HOUR, DAY = 3600, 86400
OVERLAP = 60
STANDS = ("iss", "sub", "aud", "azp", "auth_time")


def test_attack_t6_rfc9700_4_14_repeating_does_not_prolong_the_overlap(detent: Detent) -> None:
    first = signed_in(detent, "app")
    second = detent.refreshed("app", first["refresh_token"])
    for _ in range(3):
        detent.clock.advance(OVERLAP // 3)
        assert detent.refreshed("app", first["refresh_token"])["refresh_token"] == second["refresh_token"]
    detent.clock.advance(1)
    late = detent.refreshed("app", first["refresh_token"])
    assert late["refresh_token"] != second["refresh_token"], "it counts as late, though it came a moment ago"


def test_attack_t18_oauth21_4_3_no_rotation_moves_the_end_of_a_family(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder) as served:
        tokens = signed_in(served, "app")
        end = served.family(tokens["refresh_token"], "app").absolute_until
        chain = [tokens]
        while served.clock.now() + 29 * DAY < end:
            served.clock.advance(29 * DAY)
            chain.append(served.refreshed("app", chain[-1]["refresh_token"]))
            family = served.family(chain[-1]["refresh_token"], "app")
            assert family.absolute_until == end
            assert family.idle_until <= end
        served.clock.advance(end - served.clock.now())
        assert_refused(served.refresh("app", chain[-1]["refresh_token"]))


def test_attack_t18_rfc9700_4_14_the_first_token_kills_after_a_thousand_rotations(detent: Detent) -> None:
    chain = chained(detent, "testclient", 1000)
    before = detent.statements()
    assert_refused(detent.refresh("testclient", chain[0]["refresh_token"]))
    after = detent.statements()
    assert (after.reads - before.reads, after.writes - before.writes) == (1, 1), "one row, however long the chain"
    assert_killed(detent, "testclient", [chain[0], chain[500], chain[-1]])


@pytest.mark.parametrize("client", ["testclient", "app", "web"])
def test_attack_t24_openid_core_12_2_no_parameter_changes_whom_the_id_token_is_about(
    detent: Detent, client: str
) -> None:
    first = detent.sign_in(client, scope="openid read offline_access")
    before, token = claims_of(first["id_token"]), first["refresh_token"]
    wanted = {"sub": "ada", "username": "ada", "iss": "https://evil.example/", "auth_time": "1", "max_age": "0"}
    for _ in range(3):
        detent.clock.advance(AFTER_EVERY_OVERLAP)
        tokens = detent.refreshed(client, token, **wanted)
        token, claims = tokens["refresh_token"], claims_of(tokens["id_token"])
        assert {name: claims.get(name) for name in STANDS} == {name: before.get(name) for name in STANDS}


def test_attack_t25_rfc6749_4_4_3_client_credentials_bring_no_refresh_token(detent: Detent) -> None:
    answer = detent.token("machine", grant_type="client_credentials").json()
    assert "refresh_token" not in answer
    answer = detent.token("machine", grant_type="client_credentials", scope="read offline_access")
    assert "refresh_token" not in answer.json()


@pytest.mark.parametrize("client", ["testclient", "cli"])
def test_attack_t26_a_dead_token_that_is_replayed_writes_once(detent: Detent, client: str) -> None:
    """`cli` only suspects; that mark, too, is written once."""
    chain = chained(detent, client, 3)
    assert_refused(detent.refresh(client, chain[0]["refresh_token"]))
    before = detent.statements()
    answers = [detent.refresh(client, chain[0]["refresh_token"]).status_code for _ in range(50)]
    after = detent.statements()
    assert set(answers) <= {400, 429}
    assert (after.writes, after.inserts, after.commits) == (before.writes, before.inserts, before.commits)


def test_attack_t27_a_turned_handle_key_keeps_tokens_good_and_a_dropped_one_none(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "keys") as served:
        keys = served.house.outside.keys
        old = signed_in(served, "app")
        before = served.family(old["refresh_token"], "app").handle_key
        served.thread.submit(_rotated(keys, at_once=False)).result(10)
        served.clock.advance(DAY)
        new = served.refreshed("app", old["refresh_token"])
        assert served.family(new["refresh_token"], "app").handle_key != before
        assert served.refreshed("app", old["refresh_token"])["refresh_token"] == new["refresh_token"]
        served.thread.submit(_rotated(keys, at_once=True)).result(10)
        served.clock.advance(2)
        assert_refused(served.refresh("app", new["refresh_token"]))


async def _rotated(keys: object, *, at_once: bool) -> None:
    keys.rotate("handle", at_once=at_once)  # type: ignore[attr-defined]


@pytest.mark.parametrize("client", ["testclient", "app"])
def test_attack_c12_rfc6749_4_1_2_a_crash_after_the_code_was_taken_never_makes_two_sets(
    tmp_path: Path, keys_folder: Path, client: str
) -> None:
    with running(tmp_path, keys_folder) as served:
        client = "web" if client == "testclient" else client
        code, clock = served.code(client), served.clock
        lost = served.redeem(client, code).json()  # the answer never arrives
    with running(tmp_path, keys_folder, clock=clock) as served:
        assert_refused(served.redeem(client, code))
        assert_refused(served.refresh(client, lost["refresh_token"]))
        assert not served.introspect(lost["access_token"])["active"]


FORKING = """
import os, sys
from detent.system import SystemEntropy
entropy = SystemEntropy()
entropy.token_bytes(16)  # before they part
for _ in range(4):
    if os.fork() == 0:
        seen = b"".join(entropy.token_bytes(16) for _ in range(50_000))
        os.write(1, b"")
        with open(sys.argv[1] + str(os.getpid()), "wb") as file:
            file.write(seen)
        os._exit(0)
for _ in range(4):
    os.wait()
"""


@pytest.mark.slow
def test_attack_c14_rfc6749_10_10_processes_that_part_draw_no_number_twice(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKING, str(tmp_path / "drawn")], check=True)
    drawn = [
        file.read_bytes()[start : start + 16] for file in tmp_path.glob("drawn*") for start in range(0, 800_000, 16)
    ]
    assert len(set(drawn)) == len(drawn) == 200_000
