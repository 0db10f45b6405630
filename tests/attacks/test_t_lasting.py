"""What neither time, faults nor repetition change (rows T6, T18, T24, T25, T26, T27, C12, C14), over HTTP.

With ATTACKS_LONG=1 the chains, floods and draws have the size that the rows ask for, and the log tells how long an
answer took: `ATTACKS_LONG=1 pytest tests/attacks/test_t_lasting.py --log-cli-level=WARNING`.
"""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import pytest

from detent.core.changes import InsertFamily
from detent.core.ids import FamilyKey
from tests.attacks.outcomes import (
    AFTER_EVERY_OVERLAP,
    assert_killed,
    assert_refused,
    assert_unharmed,
    chained,
    ongoing,
    signed_in,
)
from tests.mission.test_a_tokens import claims_of
from tests.serving import Detent, running

detent = ongoing
log = logging.getLogger(__name__)
LONG: Final = bool(os.environ.get("ATTACKS_LONG"))
ROTATIONS, REPLAYS, FAMILIES, DRAWS = (100_000, 10_000, 100_000, 10_000_000) if LONG else (1000, 100, 1000, 200_000)
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


def test_attack_t18_rfc9700_4_14_the_first_token_kills_however_long_the_chain(detent: Detent) -> None:
    chain = chained(detent, "testclient", 2)
    end = detent.family(chain[-1]["refresh_token"]).absolute_until
    middle, last = chain[-1], chain[-1]
    for number in range(ROTATIONS - 2):
        detent.clock.advance(AFTER_EVERY_OVERLAP)
        last = detent.refreshed("testclient", last["refresh_token"])
        middle = last if number == ROTATIONS // 2 else middle
    assert detent.family(last["refresh_token"]).absolute_until == end
    before, asked = detent.statements(), time.perf_counter()
    assert_refused(detent.refresh("testclient", chain[0]["refresh_token"]))
    log.warning("killed after %d rotations in %.1f ms", ROTATIONS, 1000 * (time.perf_counter() - asked))
    after = detent.statements()
    assert (after.reads - before.reads, after.writes - before.writes) == (1, 1), "one row, however long the chain"
    assert_killed(detent, "testclient", [chain[0], middle, last])


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
def test_attack_t26_a_dead_token_that_is_replayed_writes_once_and_harms_nobody_else(
    detent: Detent, client: str
) -> None:
    """`cli` only suspects; that mark, too, is written once."""
    chain, other = chained(detent, client, 3), signed_in(detent, client)
    assert_refused(detent.refresh(client, chain[0]["refresh_token"]))
    before, asked = detent.statements(), time.perf_counter()
    answers = {detent.refresh(client, chain[0]["refresh_token"]).status_code for _ in range(REPLAYS)}
    log.warning("replayed %d times in %.1f s", REPLAYS, time.perf_counter() - asked)
    after = detent.statements()
    assert answers <= {400, 429}
    assert (after.writes, after.inserts, after.commits) == (before.writes, before.inserts, before.commits)
    assert_unharmed(detent, client, [other])


def test_attack_t26_a_crowd_of_families_of_one_person_makes_no_refresh_dearer_and_one_cut_off_ends_it(
    detent: Detent,
) -> None:
    mine = signed_in(detent, "app")
    others = detent.token(grant_type="password", username="ada", password="lovelace").json()
    family = detent.family(mine["refresh_token"], "app")
    ids = [number.to_bytes(16, "big") for number in range(1, FAMILIES + 1)]
    crowd = [msgspec.structs.replace(family, key=FamilyKey(family.key.placement, each), version=1) for each in ids]
    for start in range(0, FAMILIES, 1000):
        detent.apply(*map(InsertFamily, crowd[start : start + 1000]))
    known = detent.house.handles.refresh_token
    ours = [("app", mine["refresh_token"]), ("app", known(crowd[-1]))]
    for client, token in [*ours, ("testclient", others["refresh_token"])]:
        before = detent.statements()
        detent.refreshed(client, token)
        after = detent.statements()
        assert [getattr(after, each) - getattr(before, each) for each in ("reads", "writes", "commits")] == [1, 1, 1]
    before = detent.statements()
    detent.thread.call(detent.house.people.set_password(family.authorization.subject, "test"))
    assert detent.statements().commits - before.commits == 1
    assert_refused(detent.refresh("app", known(crowd[FAMILIES // 2])))


def test_attack_t27_a_turned_handle_key_keeps_tokens_good_and_a_dropped_one_none(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "keys") as served:
        keys = served.house.outside.keys
        old = signed_in(served, "app")
        before = served.family(old["refresh_token"], "app").handle_key
        served.thread.submit(_rotated(keys, at_once=False)).result(60)
        served.clock.advance(DAY)
        new = served.refreshed("app", old["refresh_token"])
        assert served.family(new["refresh_token"], "app").handle_key != before
        assert served.refreshed("app", old["refresh_token"])["refresh_token"] == new["refresh_token"]
        served.thread.submit(_rotated(keys, at_once=True)).result(60)
        served.clock.advance(2)
        assert_refused(served.refresh("app", new["refresh_token"]))


async def _rotated(keys: object, *, at_once: bool) -> None:
    await keys.rotate("handle", at_once=at_once)  # type: ignore[attr-defined]


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
        with open(sys.argv[1] + str(os.getpid()), "wb") as file:
            for _ in range(int(sys.argv[2]) // 4):
                file.write(entropy.token_bytes(16))
        os._exit(0)
for _ in range(4):
    os.wait()
"""


@pytest.mark.slow
def test_attack_c14_rfc6749_10_10_processes_that_part_draw_no_number_twice(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKING, str(tmp_path / "drawn"), str(DRAWS)], check=True)
    drawn = b"".join(file.read_bytes() for file in tmp_path.glob("drawn*"))
    numbers = {drawn[start : start + 16] for start in range(0, len(drawn), 16)}
    assert len(numbers) == DRAWS
