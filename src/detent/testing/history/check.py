"""The check: what of a recorded history can no right server have answered? One function for each invariant.

I1 an acknowledged rotation survives; I2 a consumed token never leads to a second head; I3 one head, and one
successor for parallel presentations; I4 reuse ends the family, I5 a revocation or cut-off does; I6, I7 an honest
client's lost answer can be asked for again, and it is never refused; I8 nothing granted grows; I9 a code brings
tokens once; I10 nothing is accepted that was never issued. Rule: a function accuses only where every order of what was
under way together is wrong; a fate that is unknown counts in the server's favour. Restores of backups are not
judged here: requests of other epochs than the sign-in's are left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from detent.core.confirmation import Confirmation
from detent.core.policy import RefreshPolicy
from detent.testing.history.record import CUT_OFF, Request

CUT_OFF_SECONDS = 1  # until every node knows of one that is about a client or everybody


class Violation(msgspec.Struct, frozen=True):
    invariant: str
    sentence: str
    requests: tuple[Request, ...]

    def __str__(self) -> str:
        lines = (f"  {_told(request)}" for request in self.requests)
        return "\n".join((f"{self.invariant}: {self.sentence}", *lines))


class Story(msgspec.Struct):
    """All that is known of one family, in the order of starting, and the derived facts that several checks need."""

    family: str
    policy: RefreshPolicy
    born: Request
    refreshes: list[Request] = []
    revocations: list[Request] = []
    looks: list[Request] = []  # at access tokens: introspection and userinfo
    cuts: list[Request] = []  # cut-offs that may be about this family
    ends: list[Request] = []  # requests whose acknowledgement is the family's death

    @property
    def epoch(self) -> int:
        return self.born.successor.epoch if self.born.successor else 0

    @property
    def answers(self) -> list[Request]:
        return [request for request in self.refreshes if request.answered]

    @property
    def rotating(self) -> bool:
        return self.policy.rotating(Confirmation())

    @property
    def strict(self) -> bool:
        return self.rotating and self.policy.overlap == 0


def check(requests: list[Request], policies: Mapping[str, RefreshPolicy]) -> list[Violation]:
    """Everything that is wrong with this history; `policies` are those of its clients, by client id."""
    found = [*_codes_once(requests), *_only_what_was_issued(requests)]
    cuts = [request for request in requests if request.kind == CUT_OFF]
    for story in _stories(requests, policies):
        story.cuts = [cut for cut in cuts if _concerns(cut, story.born)]
        story.ends = [*_acknowledged_ends(story)]
        for look in _LOOKS:
            found.extend(look(story))
    return found


def _stories(requests: list[Request], policies: Mapping[str, RefreshPolicy]) -> Iterator[Story]:
    families: dict[str, Story] = {}
    access: dict[str, str] = {}
    for request in requests:
        token = request.presented or request.successor
        family = token.family if token else access.get(request.other, "")
        if request.kind not in ("refresh_token", "revoke", "introspect", "userinfo"):
            if request.answered and family:
                families[family] = Story(family, policies[request.client], request)
                access[request.access_token] = family
        elif (story := families.get(family)) and (token is None or token.epoch == story.epoch):
            told = {"refresh_token": story.refreshes, "revoke": story.revocations}
            told.get(request.kind, story.looks).append(request)
            if request.access_token:
                access[request.access_token] = family
    yield from families.values()


def _concerns(cut: Request, born: Request, *, surely: bool = False) -> bool:
    """Whether the cut-off may be (or `surely` is) about the family that this sign-in began. A sign-in whose person is
    not known may be anybody's; one without a session does not end with any.
    """
    late = not cut.after(born) if surely else born.after(cut)
    whose = cut.person in ("", born.person) or not (born.person or surely)
    return not late and whose and cut.client in ("", born.client) and cut.session in ("", born.session)


def _parents(story: Story) -> dict[int, set[int]]:
    """By generation: what was presented to get it, itself apart."""
    parents: dict[int, set[int]] = defaultdict(set)
    for request in story.answers:
        if request.successor and request.given != request.shown:
            parents[request.given].add(request.shown)
    return parents


def _equals(story: Story) -> dict[int, set[int]]:
    """By parent: its successors, if it may have got an access token only. Then each of them may wait to be used."""
    bare = {request.shown for request in story.refreshes if request.successor is None and not request.refused}
    children: dict[int, set[int]] = defaultdict(set)
    for given, parents in _parents(story).items():
        for parent in parents & bare:
            children[parent].add(given)
    return children


def _surely_reused(story: Story) -> Iterator[Request]:
    """Refreshes whose token was, whatever the order, neither the head nor its equal nor its parent; or, in a strict
    family, the parent without the key of its redemption.
    """
    equals = _equals(story)
    keys: dict[int, set[str]] = defaultdict(set)
    newest, parent, place = story.born.given, 0, 0
    ends = sorted((other for other in story.answers if other.successor), key=lambda other: other.ended or 0)
    for request in story.refreshes:
        while place < len(ends) and request.after(ends[place]):
            other = ends[place]
            if other.given != other.shown:
                keys[other.shown].add(other.retry_key)
                if other.given >= newest:
                    newest, parent = other.given, other.shown
            place += 1
        shown = request.shown
        with_its_key = bool(request.retry_key) and request.retry_key in keys[shown]
        is_old = shown != parent and shown not in equals[parent]
        if shown < newest and (is_old or (story.strict and not with_its_key)):
            yield request


def _acknowledged_ends(story: Story) -> Iterator[Request]:
    yield from (
        request
        for request in story.revocations
        if request.answered and request.presented and request.client == story.born.client
    )
    if story.rotating and story.policy.on_reuse == "revoke":
        yield from (request for request in _surely_reused(story) if request.refused)
    yield from (cut for cut in story.cuts if cut.answered and _concerns(cut, story.born, surely=True))


def acknowledged_rotations_survive(story: Story) -> Iterator[Violation]:
    """I1: the newest token that anybody was given is refused although nothing can have ended the family. A refresh of
    unknown fate may have, unless everybody who has its tokens keeps to the rules (I6).
    """
    kept = all(request.promised for request in story.refreshes)
    fateful = [request for request in story.refreshes if not request.answered and not kept]
    threats = [*story.revocations, *story.cuts, *fateful]
    for request in story.refreshes:
        if not request.refused or any(other is not request and not other.after(request) for other in threats):
            continue
        known = [story.born, *(other for other in story.answers if not other.after(request))]
        newest = max(known, key=lambda other: other.given)
        used = max(other.at for other in known)
        alive = request.until < min(used + story.policy.idle, story.born.at + story.policy.absolute)
        if alive and request.shown == newest.given:
            yield Violation("I1", "An acknowledged token was refused, and nothing had ended it.", (newest, request))


def one_way_to_each_head(story: Story) -> Iterator[Violation]:
    """I2, I3: a generation has one value and one parent; a token that was consumed leads nowhere else."""
    values: dict[int, Request] = {}
    for request in (story.born, *story.answers):
        if request.successor:
            first = values.setdefault(request.given, request)
            if first.successor != request.successor:
                yield Violation("I3", "One generation was handed out in two values.", (first, request))
    for generation, parents in _parents(story).items():
        if len(parents) > 1:
            ways = [r for r in story.answers if r.successor and r.successor.generation == generation]
            yield Violation("I2", f"Generation {generation} was reached from {sorted(parents)}.", tuple(ways))


def reused_tokens_are_refused(story: Story) -> Iterator[Violation]:
    """I2: what is surely neither head nor parent is never answered; strict, the parent only with its key."""
    if story.strict:
        redeemed: dict[int, Request] = {}
        for request in story.answers:
            first = redeemed.setdefault(request.shown, request)
            if first is not request and not (request.retry_key and request.retry_key == first.retry_key):
                yield Violation("I2", "A strict family's token was answered twice without its key.", (first, request))
    if story.rotating:
        for request in _surely_reused(story):
            if request.answered:
                yield Violation("I2", "A consumed refresh token was answered.", (request,))


def the_generation_never_falls(story: Story) -> Iterator[Violation]:
    """I1: no answer gives an older token than one that was acknowledged before it was asked for, but for its equal."""
    equals = _equals(story)
    ends = sorted((r for r in (story.born, *story.answers) if r.successor), key=lambda each: each.ended or 0)
    place, best = 0, story.born
    for request in story.answers:
        while place < len(ends) and request.after(ends[place]):
            best = ends[place] if ends[place].given > best.given else best
            place += 1
        same_again = request.given == request.shown and request.given in equals[best.shown]
        if request.successor and request.given < best.given and not same_again:
            yield Violation("I1", "The generation fell.", (best, request))


def presented_together_answered_alike(story: Story) -> Iterator[Violation]:
    """I3: the same token in the same second, from one origin, brings one successor.

    But for requests after an answer without a refresh token, as docs/family.md says.
    """
    together: dict[tuple[int, int], list[Request]] = defaultdict(list)
    seconds: dict[int, set[str]] = defaultdict(set)
    bare: set[int] = set()
    for request in story.answers:
        shown = request.shown
        seconds[request.at].add(request.origin)
        if request.successor is None:
            bare.add(shown)
        elif request.at == request.until and shown not in bare:
            together[shown, request.at].append(request)
    for (_, second), group in together.items():
        if len({r.successor.digest for r in group if r.successor}) > 1 and len(seconds[second]) == 1:
            yield Violation("I3", "One token, presented in parallel, brought several successors.", tuple(group))


def the_dead_stay_dead(story: Story) -> Iterator[Violation]:
    """I4, I5: after an acknowledged revocation, reuse or cut-off nothing of the family is answered or active."""
    ends = sorted(story.ends, key=lambda each: each.ended or 0)
    wide = [end for end in ends if end.kind == CUT_OFF and not (end.person or end.session)][:1]
    for end in (*[end for end in ends if end not in wide][:1], *wide):
        name = "I4" if end.kind == "refresh_token" else "I5"
        after = [request for request in (*story.refreshes, *story.looks) if request.after(end)]
        for request in after if end not in wide else [r for r in after if r.at > end.until + CUT_OFF_SECONDS]:
            if request.kind == "refresh_token" and request.answered:
                yield Violation(name, "A family that had ended was answered again.", (end, request))
            if request.active:
                yield Violation(name, "A token of a family that had ended reads active.", (end, request))


def honest_clients_are_served(story: Story) -> Iterator[Violation]:
    """I6, I7: whoever keeps to the rules is never refused, however often answers were lost, while the family lasts."""
    last, threats = story.born.at, [*story.revocations, *story.cuts]
    for request in story.refreshes:
        until = min(last + story.policy.idle, story.born.at + story.policy.absolute)
        ended = any(not threat.after(request) for threat in threats)
        if request.refused and request.promised and request.until < until and not ended:
            yield Violation("I7", "An honest client was refused.", (request,))
        last = max(last, request.at) if request.answered else last


def nothing_grows(story: Story) -> Iterator[Violation]:
    """I8: scope, audience, subject, binding and auth_time stay; the idle and the absolute end hold."""
    born, last = story.born, story.born.at
    for request in story.answers:
        if not set(request.scope) <= set(born.scope):
            yield Violation("I8", "The scope grew.", (born, request))
        if born.audience and not set(request.audience) <= set(born.audience):
            yield Violation("I8", "The audience grew.", (born, request))
        if born.fixed and request.fixed and born.fixed != request.fixed:
            yield Violation("I8", "Subject, client, auth_time or key binding changed.", (born, request))
        if request.at >= born.until + story.policy.absolute:
            yield Violation("I8", "A family was answered after its absolute end.", (born, request))
        if request.at >= last + story.policy.idle:
            yield Violation("I8", "A family was answered after its idle life.", (born, request))
        last = max(last, request.until)


def _codes_once(requests: Iterable[Request]) -> Iterator[Violation]:
    """I9."""
    used: dict[str, Request] = {}
    for request in requests:
        if request.kind == "authorization_code" and request.answered:
            first = used.setdefault(request.other, request)
            if first is not request:
                yield Violation("I9", "One code brought two sets of tokens.", (first, request))


def _only_what_was_issued(requests: list[Request]) -> Iterator[Violation]:
    """I10."""
    issued: dict[str, int] = {}
    for request in requests:
        for known in (request.access_token, request.successor.digest if request.successor else ""):
            issued[known] = min(issued.get(known, request.started), request.started)
    for request in requests:
        shown = request.presented.digest if request.presented else request.other
        served = request.active or (request.kind == "refresh_token" and request.answered)
        if served and issued.get(shown, request.started) >= request.started:
            yield Violation("I10", "A token that was never issued was accepted.", (request,))


_LOOKS = (
    acknowledged_rotations_survive,
    one_way_to_each_head,
    reused_tokens_are_refused,
    the_generation_never_falls,
    presented_together_answered_alike,
    the_dead_stay_dead,
    honest_clients_are_served,
    nothing_grows,
)


def _told(request: Request) -> str:
    if request.kind == CUT_OFF:
        whom = [each for each in (request.client, request.person, request.session and "a session") if each]
        return f"#{request.number} at {request.at}: cut-off of {', '.join(whom) or 'everybody'}"
    shown = f" generation {request.shown}" if request.presented else ""
    brought = f" and generation {request.given}" if request.successor else ""
    status = request.status or "no answer"
    return f"#{request.number} at {request.at}: {request.client}, {request.kind}{shown}: {status}{brought}"
