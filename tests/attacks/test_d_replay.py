"""Rows D1 and D5: a proof of possession counts once (RFC 9449 §11.1), on every node, whatever is thrown at it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.core.changes import InsertClient
from detent.core.policy import Overrides
from detent.resource_server.proof import IAT_WINDOW_SECONDS
from tests.attacks.outcomes import Race, assert_refused, ongoing, race
from tests.proving import MACHINE, Holder, assert_unproved, knowing
from tests.serving import REDIRECT_URI, SECRET, VERIFIER, Detent, client, running

detent = ongoing
__all__ = ["race"]


@pytest.fixture
def holder(detent: Detent) -> Holder:
    """A key that knows a nonce."""
    return knowing(detent)


# D1: a proof counts once


def test_attack_d1_rfc9449_11_1_a_proof_counts_once_for_every_grant(holder: Holder) -> None:
    def client_credentials(proof: str) -> httpx.Response:
        return holder.ask("machine", proof, **MACHINE)

    tokens = {name: holder.sign_in(name) for name in ("app", "web")}
    asks: list[Callable[[str], httpx.Response]] = [
        client_credentials,
        lambda proof: holder.redeem("app", holder.detent.code("app"), proof),
        lambda proof: holder.refresh("app", tokens["app"]["refresh_token"], proof),
        lambda proof: holder.refresh("web", tokens["web"]["refresh_token"], proof),
    ]
    for ask in asks:
        proof = holder.proof()
        assert ask(proof).status_code == 200
        for again in asks:
            assert_refused(again(proof), "invalid_dpop_proof")


def test_attack_d1_two_keys_may_choose_the_same_jti(holder: Holder) -> None:
    other = knowing(holder.detent)
    for each in (holder, other):
        assert each.ask("machine", each.proof(jti="1"), **MACHINE).status_code == 200
    assert_refused(holder.ask("machine", holder.proof(jti="1"), **MACHINE), "invalid_dpop_proof")


def test_attack_d1_a_proof_that_obtained_nothing_is_not_spent(holder: Holder) -> None:
    proof = holder.proof()
    assert_refused(holder.redeem("app", "dtac_nonsense", proof))
    assert_refused(holder.redeem("app", holder.detent.code("app", code_challenge=None), proof))
    assert holder.redeem("app", holder.detent.code("app"), proof).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code", "refresh_token"])
def test_attack_d1_sixty_four_at_once_obtain_one_answer(holder: Holder, race: Race, grant: str) -> None:
    proof, detent = holder.proof(), holder.detent
    ways = 64
    bound = holder.sign_in()["refresh_token"]
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    requests = {
        "client_credentials": lambda: holder.request("machine", proof, **MACHINE),
        "authorization_code": lambda: holder.request("app", proof, code=detent.code("app"), **form),
        "refresh_token": lambda: holder.request("app", proof, grant_type="refresh_token", refresh_token=bound),
    }
    answers = race([requests[grant]() for _ in range(ways)])

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: ways - 1}
    for answer in answers:
        if answer.status_code == 400:
            assert_refused(answer, "invalid_dpop_proof")
    assert holder.refresh("app", bound).status_code == 200, "and nobody's family was harmed"


@pytest.mark.slow
def test_attack_d1_on_two_nodes_too_one_of_sixty_four_is_answered(tmp_path: Path, keys_folder: Path) -> None:
    with (
        running(tmp_path, keys_folder) as one,
        running(tmp_path, keys_folder, clock=one.clock, public=one.issuer) as two,
    ):
        holder = knowing(one)
        nodes = one, two
        for _ in range(3):
            proof = holder.proof()
            requests = [holder.request("machine", proof, **MACHINE) for _ in range(64)]
            for request in requests[1::2]:
                request.url = request.url.copy_with(port=int(two.url.rsplit(":")[-1].strip("/")))
            answers = one.at_once(64, lambda at, sent=requests: nodes[at % 2].http.send(sent[at]))  # type: ignore[misc]
            assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 63}
            errors = {answer.json()["error"] for answer in answers if answer.status_code == 400}
            assert errors == {"invalid_dpop_proof"}


def test_attack_d1_a_proof_is_remembered_after_a_restart(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder) as before:
        holder = knowing(before)
        proof = holder.proof()
        assert holder.ask("machine", proof, **MACHINE).status_code == 200
        clock, issuer = before.clock, before.issuer
    with running(tmp_path, keys_folder, clock=clock, public=issuer) as after:
        holder.detent = after
        assert_refused(holder.ask("machine", proof, **MACHINE), "invalid_dpop_proof")
        assert holder.ask("machine", **MACHINE).status_code == 200, "its nonce outlived the restart too"


def test_attack_d1_a_replayed_request_never_ends_a_family_whose_rotation_an_operator_forced(detent: Detent) -> None:
    """A rotating family of a client whose tokens are bound: a captured request is not the reuse of a thief."""
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client("turning", "web", keys, overrides=Overrides(rotating=True, overlap=0))))
    holder = knowing(detent)

    code = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    first = holder.ask("turning", code=detent.code("turning"), client_secret=SECRET, **code).json()
    refresh = {"grant_type": "refresh_token", "client_secret": SECRET}
    proof = holder.proof()
    second = holder.ask("turning", proof, refresh_token=first["refresh_token"], **refresh).json()
    again = holder.ask("turning", proof, refresh_token=first["refresh_token"], **refresh)
    assert_refused(again, "invalid_dpop_proof")
    third = holder.ask("turning", refresh_token=second["refresh_token"], **refresh)
    assert third.status_code == 200, "the family lives"


def test_attack_d1_at_userinfo_too_a_proof_counts_once(holder: Holder) -> None:
    token = holder.sign_in(scope="openid read")["access_token"]
    proof = holder.proof("GET", f"{holder.detent.issuer}userinfo", token)
    assert holder.userinfo(token, proof).status_code == 200
    assert_unproved(holder.userinfo(token, proof))


# D5: many proofs


@pytest.mark.slow
def test_attack_d5_refused_proofs_leave_nothing_behind_and_good_ones_are_swept(
    tmp_path: Path, keys_folder: Path
) -> None:
    with running(tmp_path, keys_folder) as served:
        holder = knowing(served)
        before = served.statements()
        for number in range(300):
            assert_refused(holder.redeem("app", "dtac_nonsense", holder.proof(jti=f"n{number}")))
            assert_refused(holder.refresh("app", "dtrt_nonsense", holder.proof()))
        after = served.statements()
        assert (after.inserts, after.commits) == (before.inserts, before.commits)

        for _ in range(50):
            assert holder.ask("machine", **MACHINE).status_code == 200
        assert served.statements().inserts == before.inserts + 50
        served.clock.advance(2 * IAT_WINDOW_SECONDS + 2)
        swept = served.thread.call(served.store.sweep(served.clock.now(), retention=0))
        assert swept >= 50, "an hour of proofs is never kept"
