"""What an operator is told of a refresh token is what would happen, and ending a family waits for nobody."""

from typing import Any

import msgspec
import pytest

from detent.admin.errors import NotFound
from detent.admin.families import Families
from detent.core.changes import InsertClient, RemoveClient, ReplaceFamily
from detent.core.ids import ClientId
from detent.core.policy import DAY
from tests.attacks.outcomes import stranded
from tests.serving import Detent, client

pytestmark = pytest.mark.slow


def families(detent: Detent) -> Families:
    return Families(
        detent.house.issuing, detent.house.access, detent.house.ending, detent.house.outside.directory, detent.clock
    )


def told(detent: Detent, refresh_token: str) -> str:
    """What presenting it now would mean."""
    number, meaning, *_ = detent.thread.call(families(detent).explain(refresh_token)).sentences
    assert number.startswith("This is refresh token ")
    return meaning


def chain(detent: Detent, client: str, length: int, seconds_between: int = 0) -> list[str]:
    tokens = [detent.sign_in(client)["refresh_token"]]
    while len(tokens) < length:
        detent.clock.advance(seconds_between)
        tokens.append(detent.refreshed(client, tokens[-1])["refresh_token"])
    return tokens


def test_the_same_refresh_token_again_is_told_and_happens(detent: Detent) -> None:
    (only,) = chain(detent, "web", 1)
    assert told(detent, only).endswith("a new access token, and the same refresh token again.")
    assert detent.refreshed("web", only)["refresh_token"] == only


def test_a_turn_is_told_and_happens(detent: Detent) -> None:
    (first,) = chain(detent, "testclient", 1)
    assert told(detent, first).endswith("a new access token, and refresh token 2 in its place.")
    assert detent.refreshed("testclient", first)["refresh_token"] != first


def test_a_repeat_is_told_and_happens(detent: Detent) -> None:
    first, second = chain(detent, "app", 2)
    assert told(detent, first).endswith("answered once more with its successor, refresh token 2.")
    assert detent.refreshed("app", first)["refresh_token"] == second


def test_a_late_repeat_is_told_and_happens(detent: Detent) -> None:
    first, second = chain(detent, "app", 2)
    detent.clock.advance(61)
    meaning = "answered late with refresh token 3; the unused one before it would be dead."
    assert told(detent, first).endswith(meaning)
    assert detent.refreshed("app", first)["refresh_token"] != second


def test_a_late_repeat_beside_another_one_is_told_and_happens(detent: Detent) -> None:
    token = stranded(detent, "app")
    second = detent.refreshed("app", token)["refresh_token"]
    meaning = "the unused one before it would be as good until one of the two is used."
    assert told(detent, token).endswith(f"answered late with refresh token 7; {meaning}")
    third = detent.refreshed("app", token)["refresh_token"]
    assert detent.refresh("app", second).status_code == 200
    assert detent.refresh("app", third).status_code == 400


@pytest.mark.parametrize(
    ("client", "meaning"),
    [
        ("app", "the family ends at once, with its access tokens (on_reuse revoke)."),
        ("cli", "the family is marked as suspected (on_reuse suspect)."),
    ],
)
def test_reuse_is_told_and_happens(client: str, meaning: str, detent: Detent) -> None:
    first, _, third = chain(detent, client, 3, seconds_between=61)
    assert told(detent, first).endswith(f"reuse, so it is refused and {meaning}")
    assert detent.refresh(client, first).status_code == 400
    family = detent.family(third, client)
    assert (family.status, family.suspected) == (("live", True) if client == "cli" else ("compromised", False))
    if client == "cli":
        assert told(detent, first).endswith("refused as a used one; nothing changes.")
        sentences = detent.thread.call(families(detent).explain(family.key.text)).sentences
        assert sentences[-2].endswith("It is suspected: it ends at the next sign-in.")


def test_what_is_over_is_told_to_be_and_why(detent: Detent) -> None:
    (first,) = chain(detent, "app", 1)
    detent.clock.advance(31 * DAY)
    assert told(detent, first).endswith("refused, and nothing changes: it is over.")


def test_a_store_that_lost_state_is_told(detent: Detent) -> None:
    _, second = chain(detent, "testclient", 2)
    known = detent.family(second)
    lost = msgspec.structs.replace(known, generation=1, parent=None, version=known.version + 1)
    detent.apply(ReplaceFamily(lost))
    assert told(detent, second).endswith("refused, and nothing changes: it is newer than the store, which lost state.")


def test_without_its_client_a_family_is_over(detent: Detent) -> None:
    (first,) = chain(detent, "app", 1)
    detent.apply(RemoveClient(ClientId("app"), 1))
    sentences = detent.thread.call(families(detent).explain(first)).sentences
    assert sentences[0] == "This is refresh token 1; the present one is 1."
    assert sentences[-2] == "It is over. It ended: its client was removed."
    assert sentences[-1].startswith("Nobody can sign in to it any more, unless it is registered anew")


def test_ending_a_family_kills_its_access_tokens_too(detent: Detent) -> None:
    tokens = detent.sign_in("testclient")
    key = detent.family(tokens["refresh_token"]).key.text
    detent.thread.call(families(detent).end(key))
    assert detent.introspect(tokens["access_token"]) == {"active": False}
    assert detent.refresh("testclient", tokens["refresh_token"]).status_code == 400


@pytest.mark.parametrize(
    ("strategy", "limit"),
    [
        ("allowlist", "good once, while it is in the list"),
        ("denylist", "good once, unless it is in the list"),
        ("unique_claim", "another sign-in there ends this one"),
        ("short_lived", "cannot be revoked"),
        ("user_secret", "a password reset ends all"),
    ],
)
def test_of_a_jwt_refresh_token_the_story_of_its_sign_in_and_the_limits_of_its_strategy_are_told(
    strategy: str, limit: str, detent: Detent
) -> None:
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client("jwt", "web", keys, refresh_strategy=strategy)))
    tokens = detent.redeem_as("jwt", detent.code("jwt")).json()
    story = detent.thread.call(families(detent).explain(tokens["refresh_token"]))
    this, opening, by_strategy, standing, _ = story.sentences
    assert opening.startswith("test signed in to jwt at ")
    assert standing.startswith("It lives until ")
    assert by_strategy.startswith(f"Its refresh tokens are JWTs by the strategy {strategy}. ")
    assert limit in by_strategy
    assert this.endswith(f"({strategy}); whether it is was not checked.")
    assert story.family
    assert detent.thread.call(families(detent).explain(story.family.key.text)).sentences == story.sentences[1:]

    header, _, signature = tokens["refresh_token"].split(".")
    with pytest.raises(NotFound):
        detent.thread.call(families(detent).explain(f"{header}.e30.{signature}"))
