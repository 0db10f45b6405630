"""The invariants of refresh-token families, under arbitrary histories: what nobody can bring about, whoever they are.

`Server` stands for the token endpoint and its store: it asks `decide`, commits by compare-and-swap, and holds every
step against the invariants. The machines below it are the worlds in which it runs: anybody presenting anything; one
honest client; honest tabs. What takes more than a random walk to find is family_model's (test_family_model.py).
"""

from collections import Counter
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from detent.core.authorization import Epochs
from detent.core.confirmation import Confirmation
from detent.core.family import (
    NOTABLE_EVENTS,
    Ahead,
    Decision,
    Family,
    Keep,
    Origin,
    Presented,
    Refuse,
    Repeat,
    Reuse,
    Rotate,
    Supersede,
    Surroundings,
    decide,
    is_young,
    revoke,
    why_over,
)
from detent.core.ids import Instant, Seconds
from detent.core.policy import DAY, OnReuse, RefreshPolicy, Rotates
from detent.testing.clock import ManualClock
from detent.testing.factories import NOW, a_family

PROFILE = settings.get_profile("ci")  # the same examples everywhere, and no deadline

ORIGINS = Origin(b"phone", "192.0.2.0"), Origin(b"phone", "198.51.100.0"), Origin(b"laptop", "203.0.113.0")
KEYS = None, b"first key", b"second key"
BOUND = msgspec.structs.replace(a_family().authorization, cnf=Confirmation(jkt="thumbprint"))
ATTEMPTS = 4  # of one request: the first and three after a conflict


class Token(NamedTuple):
    generation: int
    epoch: int


def policy(
    rotates: Rotates = "unbound", overlap: int = 60, on_reuse: OnReuse = "revoke", idle: int = 3650 * DAY
) -> RefreshPolicy:
    return RefreshPolicy(rotates, Seconds(overlap), on_reuse, Seconds(3600), Seconds(idle), Seconds(3650 * DAY))


def policies(**fields: Any) -> st.SearchStrategy[RefreshPolicy]:
    drawn = {
        "rotates": st.sampled_from(("unbound", "always", "never")),
        "overlap": st.sampled_from((0, 1, 60, 600)),
        "on_reuse": st.sampled_from(("revoke", "suspect")),
        "idle": st.sampled_from((2 * 3600 + 1, 14 * DAY, 3650 * DAY)),
    }
    return st.builds(policy, **{**drawn, **fields})


class Server:
    """The one row, and who asks for it."""

    def __init__(self, policy: RefreshPolicy, **fields: Any) -> None:
        self.policy = policy
        self.clock = ManualClock(NOW)
        self.around = Surroundings()
        fields = {"absolute_until": Instant(NOW + policy.absolute), "idle_until": Instant(NOW + policy.idle), **fields}
        self.family = a_family(**fields)
        self.issued = {self.head}
        self.repeat_writes: Counter[Token] = Counter()

    @property
    def head(self) -> Token:
        return Token(self.family.generation, self.family.epoch)

    def asks(
        self, family: Family, token: Token, retry_key: bytes | None, origin: Origin, narrowed: str = ""
    ) -> Decision:
        presented = Presented(*token, retry_key, origin, narrowed)
        return decide(family, presented, self.policy, self.around, self.clock.now())

    def presents(self, token: Token, retry_key: bytes | None = None, origin: Origin = ORIGINS[0]) -> Decision:
        before = self.family
        decision = self.asks(before, token, retry_key, origin)
        less = self.asks(before, token, retry_key, origin, "read")
        assert unremembered(less) == unremembered(decision), "asking for less is remembered, and changes nothing else"
        self.commits(before, less)
        holds(self, before, token, retry_key, decision)
        return decision

    def commits(self, read: Family, decision: Decision) -> bool:
        """Compare and swap; True if nothing was in the way."""
        after = None if isinstance(decision, Refuse) else decision.after
        if after is None:
            return True
        if self.family.version != read.version:
            return False
        if isinstance(decision, Repeat):
            self.repeat_writes[self.head] += 1
        self.family = after
        if token_of(decision):
            self.issued.add(self.head)
        return True


def token_of(decision: Decision) -> Token | None:
    """The refresh token that the answer carries."""
    match decision:
        case Rotate(after=head) | Supersede(after=head) | Keep(head=head) | Repeat(head=head, bare=False):
            return Token(head.generation, head.epoch)
    return None


def unremembered(decision: Decision) -> Decision:
    """The decision without what the family remembers of it."""
    if isinstance(decision, Refuse) or decision.after is None:
        return decision
    after = msgspec.structs.replace(decision.after, history=())
    fields = {"head": after} if isinstance(decision, Keep | Repeat) else {}
    return msgspec.structs.replace(decision, after=after, **fields)


def is_equal(family: Family, token: Token) -> bool:
    """One of the successors of one parent that wait alike: after an access token only late retries got one each."""
    waiting = range(family.generation - min(family.repeated - 2, 4) + 1, family.generation + 1)
    return token.epoch == family.epoch and token.generation in waiting


def is_answered(decision: Decision) -> bool:
    return not isinstance(decision, Refuse | Reuse)


def holds(server: Server, before: Family, token: Token, retry_key: bytes | None, decision: Decision) -> None:
    """Every step, whoever made it, keeps these."""
    after, now = server.family, server.clock.now()
    over = why_over(before, server.around.epochs, now)
    if over:
        assert decision == Refuse(over), "what is over never answers again"
    if isinstance(decision, Refuse):
        assert after is before, "Refuse changes nothing"
    assert after.version == before.version + (after is not before)
    assert after.generation >= before.generation, "a generation never falls"
    assert (after.key, after.seed, after.authorization) == (before.key, before.seed, before.authorization), (
        "scope, audience, binding and auth_time never grow"
    )
    assert after.absolute_until == before.absolute_until
    assert before.idle_until <= after.idle_until <= after.absolute_until, "idle never moves back, nor beyond absolute"
    assert len(after.history) <= NOTABLE_EVENTS
    assert before.status == "live" or after is before, "an end is final"
    moved_on = isinstance(decision, Rotate | Supersede | Keep) and after is not before
    assert after.refreshes == before.refreshes + moved_on, "each answer that moves the family on is counted"
    if given := token_of(decision):
        again = given == token and is_equal(before, token)
        assert given == server.head or again, "one head: a refresh token that is handed out is the head, or what came"
    if server.policy.overlap == 0 and server.policy.rotating(before.authorization.cnf) and is_answered(decision):
        is_head = is_equal(before, token) or (token.generation, token.epoch) >= (before.generation, before.epoch)
        is_parent = (token.generation, token.epoch) == (before.parent, before.parent_epoch)
        assert is_head or (is_parent and retry_key is not None and retry_key == before.retry_key), "strict"
    assert max(server.repeat_writes.values(), default=0) <= 2, "repeats of one generation are two writes at most"


class Anybody(RuleBasedStateMachine):
    """An owner with up to three tabs, a thief and chance present what they have; time jumps, operators interfere."""

    @initialize(policy=policies(), bound=st.booleans())
    def begin(self, policy: RefreshPolicy, bound: bool) -> None:
        self.server = Server(policy, **({"authorization": BOUND} if bound else {}))
        self.store = self.server.head
        self.loot: list[Token] = []
        self.committed = [self.server.family]

    @rule(retry_key=st.sampled_from(KEYS), origin=st.sampled_from(ORIGINS), tabs=st.integers(1, 3), loses=st.booleans())
    def owner_refreshes(self, retry_key: bytes | None, origin: Origin, tabs: int, loses: bool) -> None:
        sent = self.store
        for _ in range(tabs):
            token = token_of(self.server.presents(sent, retry_key, origin))
            self.store = token if token and not loses else self.store
        self.committed.append(self.server.family)

    @rule()
    def thief_copies(self) -> None:
        self.loot.append(self.store)

    @precondition(lambda self: self.loot)
    @rule(data=st.data(), retry_key=st.sampled_from(KEYS), origin=st.sampled_from(ORIGINS))
    def thief_presents(self, data: st.DataObject, retry_key: bytes | None, origin: Origin) -> None:
        token = token_of(self.server.presents(data.draw(st.sampled_from(self.loot)), retry_key, origin))
        self.loot += [token] if token else []

    @rule(back=st.integers(-3, 3), epoch=st.integers(0, 2), retry_key=st.sampled_from(KEYS))
    def any_handle_is_presented(self, back: int, epoch: int, retry_key: bytes | None) -> None:
        self.server.presents(Token(max(1, self.server.family.generation - back), epoch), retry_key)

    @rule(seconds=st.sampled_from((-DAY, -61, -1, 1, 30, 60, 61, 3600, DAY, 20 * DAY)))
    def time_jumps(self, seconds: int) -> None:
        self.server.clock.advance(seconds)

    @rule(policy=policies())
    def operator_changes_the_policy(self, policy: RefreshPolicy) -> None:
        self.server.policy = policy

    @rule(lost=st.integers(0, 3), ahead=st.sampled_from(("refuse", "advance")))
    def store_is_restored(self, lost: int, ahead: Ahead) -> None:
        self.server.family = self.committed[-1 - min(lost, len(self.committed) - 1)]
        self.committed = [self.server.family]
        epoch = self.server.around.store_epoch + 1
        self.server.around = msgspec.structs.replace(self.server.around, store_epoch=epoch, ahead=ahead)
        self.server.repeat_writes.clear()

    @precondition(lambda self: len(self.server.issued) > 6)
    @rule(user=st.integers(0, 1))
    def everything_is_cut_off(self, user: int) -> None:
        self.server.around = msgspec.structs.replace(self.server.around, epochs=Epochs(user=user))

    @precondition(lambda self: len(self.server.issued) > 6)
    @rule()
    def family_is_revoked(self) -> None:
        before = self.server.family
        ended = revoke(before, "logout", self.server.clock.now())
        assert (ended is None) == (before.status != "live")
        self.server.family = ended or before

    @invariant()
    def at_most_one_token_is_the_head_or_its_equals_and_at_most_one_the_parent(self) -> None:
        """But for `advance` before the first contact after a restore: whichever comes first becomes the head."""
        server = self.server
        if server.around.ahead == "advance" and server.family.epoch < server.around.store_epoch:
            return
        decisions = [type(server.asks(server.family, token, None, ORIGINS[0])) for token in server.issued]
        equals = sum(is_equal(server.family, token) for token in server.issued)
        assert sum(decision in (Keep, Rotate) for decision in decisions) <= max(equals, 1)
        assert sum(decision in (Repeat, Supersede) for decision in decisions) <= 1


class OneClient(RuleBasedStateMachine):
    """One client, one request at a time: whatever is lost, however late it asks again, wherever it comes from."""

    @initialize(
        policy=policies(rotates=st.sampled_from(("unbound", "always", "never")), idle=st.just(3650 * DAY)),
        habit=st.sampled_from(("none", "pending", "new each time", "constant", "stripped at times")),
    )
    def begin(self, policy: RefreshPolicy, habit: str) -> None:
        self.habit = "pending" if policy.overlap == 0 else habit  # strict makes its promise to retry keys only
        self.server = Server(policy)
        self.store = self.server.head
        self.pending: bytes | None = None
        self.keys_made = 0

    @rule(
        fate=st.sampled_from(("request lost", "answer lost", "answer lost", "answered")),
        origin=st.sampled_from(ORIGINS),
        strip=st.booleans(),
    )
    def refreshes(self, fate: str, origin: Origin, strip: bool) -> None:
        retry_key = self.next_key(strip)
        if fate == "request lost":
            return
        decision = self.server.presents(self.store, retry_key, origin)
        assert is_answered(decision), decision
        if fate == "answered" and (token := token_of(decision)):
            self.store, self.pending = token, None

    def next_key(self, strip: bool) -> bytes | None:
        if self.habit == "constant":
            return b"constant"
        if self.habit == "none" or (self.habit == "stripped at times" and strip):
            return None
        if self.pending is None or self.habit == "new each time":
            self.keys_made += 1
            self.pending = b"key %d" % self.keys_made
        return self.pending

    @rule(seconds=st.sampled_from((-DAY, -61, 1, 59, 60, 61, 601, 3600, 5 * DAY)))
    def time_jumps(self, seconds: int) -> None:
        self.server.clock.advance(seconds)

    @invariant()
    def its_family_lives_unsuspected(self) -> None:
        assert (self.server.family.status, self.server.family.suspected) == ("live", False)


class Tabs(RuleBasedStateMachine):
    """Up to three tabs share a store and do not wait for each other; nothing is lost, nothing outlasts an overlap."""

    @initialize(policy=policies(overlap=st.sampled_from((1, 60, 600)), idle=st.just(3650 * DAY)))
    def begin(self, policy: RefreshPolicy) -> None:
        self.server = Server(policy)
        self.store = self.server.head
        self.sent: dict[int, Token] = {}
        self.answers: dict[int, Token | None] = {}

    @rule(tab=st.integers(0, 2))
    def goes_on(self, tab: int) -> None:
        """A tab sends what the store holds; its request arrives; it stores the answer, even over a newer one."""
        if tab in self.answers:
            self.store = self.answers.pop(tab) or self.store
        elif tab in self.sent:
            decision = self.server.presents(self.sent.pop(tab))
            assert is_answered(decision), decision
            self.answers[tab] = token_of(decision)
        else:
            self.sent[tab] = self.store

    @rule(seconds=st.sampled_from((-3600, 1, 30, 61, 601, 3600, 5 * DAY)))
    def time_jumps(self, seconds: int) -> None:
        server, now = self.server, self.server.clock.now()
        ends_overlap = is_young(server.family, server.policy, now) and not is_young(
            server.family, server.policy, Instant(now + seconds)
        )
        if ends_overlap or seconds < 0:
            self.everything_arrives()
        server.clock.advance(seconds)

    def everything_arrives(self) -> None:
        for tab in (*self.sent, *self.answers):
            while tab in self.sent or tab in self.answers:
                self.goes_on(tab)

    @invariant()
    def their_family_lives_unsuspected(self) -> None:
        assert (self.server.family.status, self.server.family.suspected) == ("live", False)


TestNobodyBreaksAnInvariantWhateverIsPresented = Anybody.TestCase
TestOneClientIsNeverKilledWhateverIsLostOrLate = OneClient.TestCase
TestTabsAreNeverKilledWhileNothingIsLostAndNothingOutlastsAnOverlap = Tabs.TestCase
for machine in (Anybody, OneClient, Tabs):
    machine.TestCase.settings = settings(PROFILE, max_examples=60, stateful_step_count=40)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Anybody, OneClient, Tabs])
def test_the_same_for_much_longer(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(PROFILE, max_examples=500, stateful_step_count=80))


class Worker:
    """One of many requests at once: reads, decides, commits; on a conflict it reads again, three times at most."""

    def __init__(self, server: Server, token: Token, retry_key: bytes | None) -> None:
        self.server, self.token, self.retry_key = server, token, retry_key
        self.read: Family | None = None
        self.attempts = 0
        self.decision: Decision | None = None

    @property
    def is_done(self) -> bool:
        return self.decision is not None or self.attempts == ATTEMPTS

    def goes_on(self) -> None:
        if self.read is None:
            self.read = self.server.family
            return
        decision = self.server.asks(self.read, self.token, self.retry_key, ORIGINS[0])
        self.attempts += 1
        if self.server.commits(self.read, decision):
            self.decision = decision
        self.read = None


@given(
    policy=policies(idle=st.just(3650 * DAY)),
    retry_key=st.sampled_from(KEYS),
    presents_parent=st.booleans(),
    age=st.sampled_from((0, 61, 3600)),
    tolerated=st.integers(0, 4),
    repeated=st.sampled_from((0, 1, 2)),
    schedule=st.lists(st.integers(0, 7), max_size=60),
)
@settings(PROFILE, max_examples=300)
def test_parallel_presentations_of_one_token_bring_one_successor(
    policy: RefreshPolicy, retry_key: bytes | None, presents_parent: bool, age: int, tolerated: int,
    repeated: Any, schedule: list[int],
) -> None:  # fmt: skip
    """Eight at once, interleaved at will; nobody is turned away for want of attempts."""
    rotated_at = Instant(NOW - age)
    fields = {"generation": 5, "parent": 4, "tolerated": tolerated, "repeated": repeated, "rotated_at": rotated_at}
    server = Server(policy, **fields, retry_key=KEYS[1], last_used_at=rotated_at)
    # After an access token only, late retries no longer agree (row 6): the price of an end to taking turns.
    assume(not (presents_parent and repeated == 2 and age > policy.overlap))
    workers = [Worker(server, Token(4 if presents_parent else 5, 0), retry_key) for _ in range(8)]
    for index in (*schedule, *(index for _ in range(2 * ATTEMPTS) for index in range(8))):
        if not workers[index].is_done:
            workers[index].goes_on()
    decisions = [worker.decision for worker in workers]
    assert all(decisions), "out of attempts"
    assert len({token for decision in decisions if decision and (token := token_of(decision))}) <= 1
