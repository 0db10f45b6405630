"""`detent key …`: which keys there are and the turn of the next one; never a key."""

from typing import Any

import pytest

from detent.cli.identity import KEYS_FOLDER
from tests.cli.conftest import Cli


def ready(cli: Cli) -> Cli:
    cli("api", "add", "https://api.example/")
    return cli


def states(cli: Cli, purpose: str) -> list[str]:
    found: list[dict[str, Any]] = cli.json("key", "list")
    return [each["state"] for each in found if each["purpose"] == purpose]


def test_the_keys_are_listed_and_shown_to_nobody(cli: Cli) -> None:
    found = ready(cli).json("key", "list")
    assert {each["purpose"] for each in found} == {"RS256", "handle", "pepper", "audit"}
    assert all(set(each) == {"id", "purpose", "state", "created_at", "use_from", "drop_at"} for each in found)


def test_the_next_signing_key_takes_over_once_everybody_can_know_it(cli: Cli) -> None:
    assert states(ready(cli), "RS256") == ["current", "next"]
    turned = cli.json("key", "rotate")
    (following,) = [each for each in cli.json("key", "list") if each["use_from"] == turned["use_from"]]
    assert (following["id"], following["purpose"]) == (turned["id"], "RS256")
    code, told = cli.refused("key", "rotate", "--alg", "RS256")
    assert code == "keys_unusable"
    assert "under way" in told


def test_a_secret_key_turns_and_goes_on_verifying(cli: Cli) -> None:
    ready(cli)("key", "rotate", "--handle")
    assert len(states(cli, "handle")) == 2
    client = cli.json("client", "add", "--kind", "machine")
    cli("key", "rotate", "--pepper")
    assert len(states(cli, "pepper")) == 2
    assert cli.accepts(client["client_id"], client["client_secret"])


def test_after_a_theft_every_key_of_the_purpose_goes_at_once(cli: Cli) -> None:
    before = {each["id"] for each in ready(cli).json("key", "list") if each["purpose"] == "RS256"}
    assert cli.json("key", "rotate", "--now")["at_once"] is True
    after = {each["id"] for each in cli.json("key", "list") if each["purpose"] == "RS256"}
    assert len(after) == 2
    assert not before & after
    client = cli.json("client", "add", "--kind", "machine")
    cli("key", "rotate", "--pepper", "--now")
    assert not cli.accepts(client["client_id"], client["client_secret"])


def test_one_key_that_leaked_goes_at_once_and_the_next_one_signs(cli: Cli) -> None:
    ready(cli)
    signing, following = (each["id"] for each in cli.json("key", "list") if each["purpose"] == "RS256")
    assert cli.json("key", "revoke", signing) == {"id": signing, "purpose": "RS256", "signs": following}
    assert states(cli, "RS256") == ["current", "next"]
    assert signing not in {each["id"] for each in cli.json("key", "list")}
    assert cli.refused("key", "revoke", signing)[0] == "keys_unusable"


@pytest.mark.parametrize(
    ("command", "code"),
    [(("key", "revoke"), "keys_unusable"), (("family", "show"), "not_found"), (("family", "revoke"), "not_found")],
)
def test_an_id_that_begins_with_a_dash_is_no_option(cli: Cli, command: tuple[str, str], code: str) -> None:
    ready(cli)
    for id in ("-2zYHmdh8uX_DYkw", "--h9cGkX_DYkwEBz"):
        assert cli.refused(*command, id)[0] == code


def test_one_purpose_at_a_time(cli: Cli) -> None:
    ready(cli)
    assert "Name one of" in cli.misused("key", "rotate", "--handle", "--pepper")


def test_l4_a_key_file_that_others_can_read_stops_every_command(cli: Cli) -> None:
    ready(cli)
    victim = sorted((cli.data / KEYS_FOLDER).glob("RS256.*"))[0]
    victim.chmod(0o644)
    code, told = cli.refused("key", "list")
    assert code == "keys_unusable"
    assert f"chmod 600 {victim}" in told
