"""`detent registration-token …`: made, shown once, listed without the token, and revoked."""

import pytest

from tests.cli.conftest import Cli

pytestmark = pytest.mark.quick


def test_a_registration_token_is_shown_once_listed_and_revoked(cli: Cli) -> None:
    made = cli.json("registration-token", "add", "--name", "a farm", "--uses", "3")
    assert made["token"].startswith(f"dtit_{made['id']}_")
    endless = cli.json("registration-token", "add", "--uses", "0", "--days", "0")
    listed = {each["id"]: each for each in cli.json("registration-token", "list")}
    assert listed[made["id"]] == {name: value for name, value in made.items() if name != "token"}
    assert (listed[endless["id"]]["left"], listed[endless["id"]]["expires_at"]) == ("any", None)
    assert cli.json("registration-token", "revoke", made["id"])["revoked"] is True
    assert [each["id"] for each in cli.json("registration-token", "list")] == [endless["id"]]
    assert cli.refused("registration-token", "revoke", made["id"])[0] == "not_found"
