"""Why each row of the table in docs/family.md is as it is, told with one family and the tokens of its life.

That every combination falls into the row it should is test_family_table.py.
"""

from typing import Any, NamedTuple

import msgspec
import pytest

from detent.core.authorization import Epochs
from detent.core.confirmation import Confirmation
from detent.core.family import (
    EQUAL_SUCCESSORS,
    NARROWED_EVENTS,
    NOTABLE_EVENTS,
    Ahead,
    Decision,
    Keep,
    Origin,
    Presented,
    Refuse,
    Repeat,
    Reuse,
    Rotate,
    Supersede,
    Surroundings,
    born,
    decide,
    revoke,
    why_over,
)
from detent.core.ids import Instant, Seconds
from detent.core.policy import Overrides, RefreshPolicy, effective_policy
from detent.testing.clock import ManualClock
from detent.testing.factories import NOW, a_family

pytestmark = pytest.mark.quick

STRICT = effective_policy("browser", Overrides())
NATIVE = effective_policy("native", Overrides())
CLI = effective_policy("cli", Overrides())
KEY, NEXT_KEY = b"a retry key", b"the next retry key"
HERE = Origin()
ELSEWHERE = Origin(b"another agent", "203.0.113.0/24")


class Token(NamedTuple):
    generation: int
    epoch: int = 0


class Life:
    """One family, its clock, and the tokens that were handed out."""

    def __init__(self, policy: RefreshPolicy = NATIVE, **fields: Any) -> None:
        self.policy = policy
        ends = {"idle_until": Instant(NOW + policy.idle), "absolute_until": Instant(NOW + policy.absolute)}
        self.family = a_family(**{**ends, **fields})
        self.clock = ManualClock(NOW)
        self.store_epoch = 0
        self.ahead: Ahead = "refuse"
        self.writes = 0

    @property
    def head(self) -> Token:
        return Token(self.family.generation, self.family.epoch)

    def presents(
        self, token: Token, retry_key: bytes | None = None, origin: Origin = HERE, narrowed: str = ""
    ) -> Decision:
        around = Surroundings(store_epoch=self.store_epoch, ahead=self.ahead)
        presented = Presented(*token, retry_key, origin, narrowed)
        decision = decide(self.family, presented, self.policy, around, self.clock.now())
        if not isinstance(decision, Refuse) and decision.after:
            self.family = decision.after
            self.writes += 1
        return decision

    def rotates(self, retry_key: bytes | None = None, *, after: int = 3600) -> Token:
        """The head is redeemed `after` seconds; returns what it was."""
        redeemed = self.head
        self.clock.advance(after)
        assert isinstance(self.presents(redeemed, retry_key), Rotate)
        return redeemed

    @classmethod
    def after_late_retries(cls, many: int, *, wait: int = 61) -> tuple["Life", list[Token]]:
        """A parent got an access token only, and `wait` seconds later it was presented so often, here and there."""
        life, successors = cls(tolerated=3, repeated=1), []
        parent = life.rotates()
        assert is_bare(life.presents(parent))
        life.clock.advance(wait)
        for number in range(many):
            assert isinstance(life.presents(parent, origin=(ELSEWHERE, HERE)[number % 2]), Supersede)
            successors.append(life.head)
        return life, successors


def is_bare(decision: Decision) -> bool:
    return isinstance(decision, Repeat) and decision.bare


# Row 1


@pytest.mark.parametrize("status", ["compromised", "revoked"])
def test_row_1_a_family_that_ended_answers_nothing_and_says_why(status: str) -> None:
    life = Life(status=status)
    assert life.presents(life.head) == Refuse(status)  # type: ignore[arg-type]


def test_row_1_the_last_second_of_the_idle_and_of_the_absolute_life_is_the_one_before() -> None:
    family = a_family(idle_until=Instant(NOW + 10), absolute_until=Instant(NOW + 20))
    assert [why_over(family, Epochs(), Instant(NOW + at)) for at in (9, 10, 19, 20)] == [
        None,
        "idle",
        "idle",
        "absolute",
    ]


def test_row_1_a_family_without_a_refresh_token_has_no_idle_life() -> None:
    without = born(a_family().key, a_family().authorization, Instant(NOW + 20), HERE)
    assert why_over(without, Epochs(), Instant(NOW + 19)) is None


@pytest.mark.parametrize("cut_off", [Epochs(user=1), Epochs(client=1), Epochs(server=1)])
def test_row_1_one_raised_counter_cuts_off_everything_issued_under_a_lower_one(cut_off: Epochs) -> None:
    assert why_over(a_family(), cut_off, NOW) == "cut_off"


def test_row_1_a_family_whose_session_is_over_is_over_with_it() -> None:
    family = a_family()
    over = Surroundings(session_over=True)
    assert decide(family, Presented(family.generation, family.epoch), NATIVE, over, NOW) == Refuse("session_over")


# Row 2


def test_row_2_a_token_that_the_store_does_not_know_of_is_refused_and_ends_nothing_because_the_store_lost_state() -> (
    None
):
    life = Life()
    assert life.presents(Token(life.head.generation + 1)) == Refuse("store_behind")
    assert life.writes == 0


def test_row_2_after_a_restore_head_and_parent_are_refused_because_either_may_have_been_consumed_since() -> None:
    life = Life()
    parent = life.rotates()
    life.store_epoch = 1
    life.clock.advance(3600)
    assert life.presents(life.head) == Refuse("store_behind")
    assert life.presents(parent) == Refuse("store_behind")


def test_row_2_advance_goes_on_from_the_presented_token_in_the_new_epoch_so_that_no_old_bytes_come_back() -> None:
    life = Life()
    life.ahead, life.store_epoch = "advance", 1
    lost = Token(life.head.generation + 2)
    assert isinstance(life.presents(lost), Rotate)
    assert life.head == Token(lost.generation + 1, epoch=1)
    assert isinstance(life.presents(lost), Repeat), "its answer may be lost like any other"
    assert life.family.history[-2].name == "store_behind", "the alarm"


def test_row_2_advance_finds_the_thief_who_held_a_consumed_token_at_the_owners_first_contact() -> None:
    life = Life()
    consumed = life.head
    owners = Token(consumed.generation + 1)  # the row went back to before this rotation
    life.ahead, life.store_epoch = "advance", 1
    assert isinstance(life.presents(consumed), Rotate)
    assert isinstance(life.presents(owners), Reuse)
    assert life.family.status == "compromised"


def test_row_2_advance_never_lowers_a_generation() -> None:
    life = Life()
    life.rotates()
    life.ahead, life.store_epoch = "advance", 2
    assert life.presents(Token(life.head.generation - 1, epoch=1)) == Refuse("store_behind")


# Row 3


def test_row_3_a_young_head_is_kept_so_that_a_request_that_was_overtaken_is_not_taken_for_a_thief() -> None:
    """Two tabs send RT1; one gets RT2 and redeems it at once; only then does the other's RT1 arrive."""
    life = Life()
    sent_twice = life.rotates()
    assert life.presents(life.head) == Keep(None, life.family)
    assert isinstance(life.presents(sent_twice), Repeat)


def test_row_3_a_new_family_is_never_young_because_nothing_was_redeemed_yet() -> None:
    life = Life()
    assert isinstance(life.presents(life.head), Rotate)


def test_row_3_without_rotation_the_head_stays_and_a_late_switch_logs_nobody_out() -> None:
    life = Life()
    parent = life.rotates()
    life.policy = msgspec.structs.replace(NATIVE, rotates="never")
    life.clock.advance(3600)
    assert isinstance(life.presents(parent), Repeat), "its holder may have lost the answer"
    assert isinstance(life.presents(life.head), Keep)
    assert isinstance(life.presents(parent), Reuse), "the holder of the head has shown that it got it"


def test_row_3_parallel_requests_of_a_family_that_does_not_rotate_agree_after_one_write() -> None:
    """Else each of 64 would invalidate what the others read, and all but a few would be turned away."""
    life = Life(msgspec.structs.replace(NATIVE, rotates="never"))
    life.clock.advance(3600)
    assert [type(life.presents(life.head)) for _ in range(64)] == [Keep] * 64
    assert life.writes == 1


# Row 4


def test_row_4_the_idle_life_slides_but_never_beyond_the_absolute_end() -> None:
    life = Life()
    life.rotates()
    assert life.family.idle_until == life.clock.now() + NATIVE.idle
    for _ in range(6):
        life.rotates(after=NATIVE.idle - 3600)
    assert life.family.idle_until == life.family.absolute_until


def test_row_4_a_retry_key_that_repeats_its_predecessor_counts_as_none_or_it_would_be_a_second_password() -> None:
    life = Life(STRICT)
    life.rotates(KEY)
    assert life.family.retry_key == KEY
    life.rotates(KEY)
    assert life.family.retry_key is None


# Row 5


@pytest.mark.parametrize("delay", [0, 61, 3600, 11 * 3600])
def test_row_5_with_its_retry_key_a_lost_answer_comes_again_at_any_time_even_when_strict(delay: int) -> None:
    life = Life(STRICT)
    parent = life.rotates(KEY)
    life.clock.advance(delay)
    assert life.presents(parent, KEY) == Repeat(life.family, life.family, bare=False)
    assert isinstance(life.presents(parent, NEXT_KEY), Reuse)


def test_row_5_no_retry_key_is_not_the_key_of_a_redemption_without_one() -> None:
    life = Life(STRICT)
    assert isinstance(life.presents(life.rotates()), Reuse)


@pytest.mark.parametrize(("delay", "decision"), [(60, Repeat), (61, Supersede)])
def test_row_5_inside_the_overlap_a_lost_answer_is_the_same_answer_again(delay: int, decision: type[Decision]) -> None:
    life = Life()
    parent = life.rotates()
    head = life.head
    life.clock.advance(delay)
    assert isinstance(life.presents(parent), decision)
    assert (life.head == head) == (decision is Repeat)


def test_row_5_a_repeat_from_another_machine_and_network_is_not_served_with_the_owners_token() -> None:
    life = Life()
    parent = life.rotates()
    assert isinstance(life.presents(parent, origin=Origin(ELSEWHERE.agent)), Repeat), "the network is the same"
    assert isinstance(life.presents(parent, origin=ELSEWHERE), Supersede)


def test_row_5_a_repeat_does_not_move_the_idle_life_or_however_late_would_become_for_ever() -> None:
    life = Life(STRICT)
    parent = life.rotates(KEY)
    idle_until = life.family.idle_until
    life.clock.advance(3600)
    life.presents(parent, KEY)
    assert life.family.idle_until == idle_until


def test_row_5_from_the_fourth_tolerated_generation_on_a_repeat_gets_an_access_token_only() -> None:
    """Whoever shadows every rotation is stranded on a parent, and found at the next one."""
    life = Life()
    assert [is_bare(life.presents(life.rotates())) for _ in range(4)] == [False, False, False, True]
    life.rotates()
    life.rotates()
    assert life.family.tolerated == 0, "a generation that nobody repeated ends the row of them"


def test_row_5_a_generation_is_repeated_as_often_as_needed_with_at_most_two_writes() -> None:
    life = Life(tolerated=3, repeated=1)
    parent = life.rotates(KEY)
    life.writes = 0
    for retry_key in (KEY, None) * 10:
        assert isinstance(life.presents(parent, retry_key), Repeat)
    assert life.writes == 2, "that it was repeated, and that one answer had no refresh token"
    assert life.family.tolerated == 4, "once for each generation"


# Row 6


def test_row_6_after_the_overlap_a_lost_answer_is_replaced_and_the_one_that_was_lost_is_dead() -> None:
    life = Life()
    parent = life.rotates()
    lost = life.head
    life.clock.advance(61)
    assert isinstance(life.presents(parent), Supersede)
    assert life.head.generation == lost.generation + 1
    assert isinstance(life.presents(lost), Reuse)


def test_row_6_the_overlap_starts_again_so_that_two_tabs_that_wake_late_get_the_same_token() -> None:
    life = Life()
    parent = life.rotates()
    life.clock.advance(61)
    life.presents(parent)
    assert life.presents(parent) == Repeat(life.family, life.family, bare=False)


def test_row_6_the_retry_key_is_cleared_or_an_old_key_would_open_every_new_head() -> None:
    life = Life()
    parent = life.rotates(KEY)
    life.clock.advance(61)
    life.presents(parent)
    assert life.family.retry_key is None


def test_row_6_taking_turns_by_late_retries_is_tolerated_for_a_while_and_not_for_ever() -> None:
    """{ T Rotate · O Supersede · T Repeat }: the thief leads, and the owner is the one who comes late."""
    life = Life()
    bare = []
    for _ in range(3):
        parent = life.rotates()
        life.clock.advance(61)
        assert isinstance(life.presents(parent), Supersede)
        bare.append(is_bare(life.presents(parent)))
    assert bare == [False, True, True]


def test_row_6_once_the_parent_got_an_access_token_only_no_overlap_restarts_before_the_next_rotation() -> None:
    """{ T Supersede · T Supersede · O access token only }: the first one must not buy the second a new overlap."""
    life = Life(tolerated=3, repeated=1)
    parent = life.rotates()
    assert is_bare(life.presents(parent))
    life.clock.advance(61)
    for _ in range(3):
        assert isinstance(life.presents(parent), Supersede)
    life.clock.advance(61)
    life.rotates()
    assert life.family.repeated == 0


def test_row_6_late_retries_in_parallel_each_bring_a_token_that_is_good_until_one_of_them_is_used() -> None:
    """{ O1 Supersede · O2 Supersede · O2's answer is stored · O1's answer is stored over it }: nobody has two."""
    for kept in range(EQUAL_SUCCESSORS):
        life, successors = Life.after_late_retries(EQUAL_SUCCESSORS)
        assert isinstance(life.presents(successors[kept]), Rotate)
        assert life.family.parent == successors[kept].generation
        assert isinstance(life.presents(successors[kept]), Repeat), "another tab of the same store"
        assert isinstance(life.presents(successors[kept - 1]), Reuse), "somebody has two"


def test_row_6_so_few_are_good_and_the_one_before_the_access_token_only_is_not() -> None:
    life, successors = Life.after_late_retries(EQUAL_SUCCESSORS + 1)
    assert isinstance(life.presents(successors[0]), Reuse)
    life, successors = Life.after_late_retries(2)
    assert isinstance(life.presents(Token(successors[0].generation - 1)), Reuse)


def test_row_3_while_the_overlap_runs_each_of_them_is_answered_with_itself_and_never_with_anothers() -> None:
    life, successors = Life.after_late_retries(2, wait=0)
    for successor in successors:
        decision = life.presents(successor)
        assert isinstance(decision, Keep)
        assert decision.after is None
        assert decision.head.generation == successor.generation


# Row 7


def test_row_7_reuse_ends_the_family_at_once_because_one_of_two_holders_is_a_thief() -> None:
    life = Life()
    stolen = life.rotates()
    life.rotates()
    assert life.presents(stolen) == Reuse("reuse", life.family)
    assert (life.family.status, life.family.ended_by) == ("compromised", "reuse")
    assert life.family.history[-1].name == "reuse_detected"
    assert life.presents(life.head) == Refuse("compromised")


def test_row_7_a_strict_family_has_no_second_chance_without_a_retry_key() -> None:
    life = Life(STRICT)
    assert isinstance(life.presents(life.rotates(after=0)), Reuse)


def test_row_7_suspect_refuses_marks_once_and_freezes_the_idle_life_while_the_rows_go_on() -> None:
    life = Life(CLI)
    stolen = life.rotates()
    life.rotates()
    idle_until, life.writes = life.family.idle_until, 0
    assert [type(life.presents(stolen)) for _ in range(3)] == [Reuse] * 3
    assert (life.writes, life.family.suspected, life.family.status) == (1, True, "live")
    life.rotates()
    assert life.family.idle_until == idle_until


def test_row_7_a_family_that_does_not_rotate_is_not_ended_because_its_key_or_secret_is_the_defence() -> None:
    bound = msgspec.structs.replace(a_family().authorization, cnf=Confirmation(jkt="thumbprint"))
    life = Life(authorization=bound, generation=3)
    assert life.presents(Token(1)) == Reuse("reuse_not_rotating", None)
    assert isinstance(life.presents(life.head), Keep)


# Beside the table


def test_the_shortest_overlap_is_one() -> None:
    life = Life(effective_policy("web", Overrides(rotating=True, overlap=1)))
    parent = life.rotates()
    life.clock.advance(2)
    assert isinstance(life.presents(parent), Supersede)


def test_the_event_of_a_revocation_says_whence_it_came() -> None:
    family = revoke(a_family(), "client", NOW, origin=ELSEWHERE)
    assert family
    event = family.history[-1]
    assert (event.network, event.agent) == (ELSEWHERE.network, ELSEWHERE.agent.hex())
    assert (event.reason, event.generation) == ("client", family.generation)


def test_a_family_ends_once_and_the_first_reason_stays() -> None:
    family = revoke(a_family(), "logout", NOW)
    assert family
    assert (family.status, family.ended_by, family.history[-1].name) == ("revoked", "logout", "revoked")
    assert revoke(family, "admin", NOW) is None


def test_a_family_remembers_its_last_notable_events_and_rotations_are_none_of_them() -> None:
    life = Life()
    for _ in range(2 * NOTABLE_EVENTS):
        life.presents(life.rotates())
    assert len(life.family.history) == NOTABLE_EVENTS
    assert {event.name for event in life.family.history} == {"replay_tolerated"}


def narrowed(life: Life) -> list[tuple[str, int]]:
    """What was asked for, each with how many refreshes came before."""
    return [(event.reason, event.refreshes) for event in life.family.history if event.name == "narrowed"]


def test_rfc6749_6_asking_for_less_is_remembered_once_for_each_thing_that_is_asked_for() -> None:
    life = Life()
    for asked in ("read", "read", "", "read", "write", "read"):
        life.clock.advance(3600)
        assert isinstance(life.presents(life.head, narrowed=asked), Rotate)
    assert narrowed(life) == [("read", 0), ("write", 4)]
    assert life.family.refreshes == life.writes == 6


def test_rfc6749_6_asking_for_less_in_many_ways_pushes_out_nothing_that_matters_more() -> None:
    life = Life()
    for number in range(NOTABLE_EVENTS):
        life.clock.advance(3600)
        life.presents(life.head, narrowed=f"scope-{number}")
    assert [event.name for event in life.family.history] == ["family_created"] + ["narrowed"] * NARROWED_EVENTS


def test_rfc6749_6_asking_for_less_where_nothing_is_written_writes_nothing() -> None:
    life = Life()
    life.rotates()
    before = life.family
    assert isinstance(life.presents(life.head, narrowed="read"), Keep), "a tab that was overtaken"
    assert life.family is before


@pytest.mark.parametrize(
    ("rotates", "cnf", "rotating"),
    [
        ("unbound", Confirmation(), True),
        ("unbound", Confirmation(jkt="thumbprint"), False),
        ("unbound", Confirmation(x5t_s256="thumbprint"), False),
        ("always", Confirmation(jkt="thumbprint"), True),
        ("never", Confirmation(), False),
    ],
)
def test_oauth21_4_3_1_a_public_client_rotates_unless_its_tokens_are_bound_to_a_key(
    rotates: str, cnf: Confirmation, rotating: bool
) -> None:
    assert msgspec.structs.replace(NATIVE, rotates=rotates).rotating(cnf) is rotating


def test_the_overlap_is_never_young_at_zero_seconds_and_a_clock_set_back_only_lengthens_one() -> None:
    life = Life(msgspec.structs.replace(NATIVE, overlap=Seconds(0)))
    assert isinstance(life.presents(life.rotates(after=0)), Reuse)
    life = Life()
    parent = life.rotates()
    life.clock.advance(-7200)
    assert isinstance(life.presents(parent), Repeat)
    assert isinstance(life.presents(life.head), Keep)
