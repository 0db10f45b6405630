"""`detent user …`: people, whose passwords are never an argument (attack L8) and never kept as they are."""

import pytest

from tests.cli.conftest import Cli


def test_a_password_comes_from_stdin_and_stays_nowhere(cli: Cli) -> None:
    added = cli.json("user", "add", "ada", "--password-stdin", stdin="correct horse\n")
    assert (added["username"], added["enabled"], added["has_password"]) == ("ada", True, True)
    assert "password" not in added
    assert cli.signs_in("ada", "correct horse")
    assert b"correct horse" not in cli.everything()


def test_a_generated_password_is_shown_once(cli: Cli) -> None:
    password = cli.json("user", "add", "ada", "--generate")["password"]
    assert cli.signs_in("ada", password)
    assert "password" not in cli.json("user", "show", "ada")
    assert password.encode() not in cli.everything()


def test_a_person_without_a_password_signs_in_by_none(cli: Cli) -> None:
    assert cli.json("user", "add", "ada", "--no-password")["has_password"] is False
    assert not cli.signs_in("ada", "")


def test_without_a_terminal_nobody_is_asked(cli: Cli) -> None:
    assert cli.refused("user", "add", "ada") == (
        "invalid_request",
        "There is no terminal to ask for a password: --password-stdin or --generate.",
    )


@pytest.mark.parametrize("password", ["", "\n", "a\tb"])
def test_what_cannot_be_a_password_is_refused(password: str, cli: Cli) -> None:
    code, told = cli.refused("user", "add", "ada", "--password-stdin", stdin=password)
    assert code == "invalid_request"
    assert "A password has" in told


def test_claims_are_added_replaced_and_taken_away(cli: Cli) -> None:
    added = cli.json(
        "user", "add", "ada", "--no-password", "--claim", "name=Ada Lovelace", "--claim", "email_verified=true",
        "--claim", 'address={"country": "GB"}',
    )  # fmt: skip
    assert added["claims"].pop("updated_at") >= added["created_at"]
    assert added["claims"] == {"name": "Ada Lovelace", "email_verified": True, "address": {"country": "GB"}}
    changed = cli.json("user", "update", "ada", "--claim", "name=", "--claim", "email=ada@example.com")
    assert changed["claims"].pop("updated_at") >= added["created_at"]
    assert changed["claims"] == {"email_verified": True, "address": {"country": "GB"}, "email": "ada@example.com"}


@pytest.mark.parametrize("claim", ["sub=x", "role=admin", "name", "=x", "updated_at=1"])
def test_only_the_standard_claims_can_be_said_of_a_person(claim: str, cli: Cli) -> None:
    assert "write NAME=VALUE" in cli.misused("user", "add", "ada", "--no-password", "--claim", claim)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [("email_verified=1", "Expected `bool`"), ('address={"street": "x"}', "unknown field `street`")],
)
def test_openid_core_5_1_a_claim_has_the_type_that_clients_expect(claim: str, expected: str, cli: Cli) -> None:
    code, told = cli.refused("user", "add", "ada", "--no-password", "--claim", claim)
    assert code == "invalid_request"
    assert expected in told
    assert "must be JSON" in cli.misused("user", "add", "ada", "--no-password", "--claim", "email_verified=yes")


def test_a_new_password_replaces_the_old_one(cli: Cli) -> None:
    old = cli.json("user", "add", "ada", "--generate")["password"]
    new = cli.json("user", "update", "ada", "--generate")["password"]
    assert (cli.signs_in("ada", old), cli.signs_in("ada", new)) == (False, True)


def test_a_disabled_person_does_not_sign_in_until_enabled(cli: Cli) -> None:
    password = cli.json("user", "add", "ada", "--generate")["password"]
    assert cli.json("user", "update", "ada", "--disable")["enabled"] is False
    assert not cli.signs_in("ada", password)
    assert cli.json("user", "update", "ada", "--enable")["enabled"] is True
    assert cli.signs_in("ada", password)


def test_people_are_found_however_their_name_is_spelt_and_are_only_once(cli: Cli) -> None:
    sub = cli.json("user", "add", "Ada", "--no-password")["sub"]
    assert cli.json("user", "show", "aDA")["sub"] == sub
    code, told = cli.refused("user", "add", "ADA", "--no-password")
    assert code == "invalid_request"
    assert "taken" in told


def test_a_removed_person_is_gone(cli: Cli) -> None:
    sub = cli.json("user", "add", "ada", "--no-password")["sub"]
    assert cli.json("user", "remove", "ada") == {"sub": sub, "removed": True}
    assert cli.json("user", "list") == []
    for command in ("show", "update", "remove"):
        assert cli.refused("user", command, "ada")[0] == "not_found"


def test_every_change_is_in_the_audit_log(cli: Cli) -> None:
    sub = cli.json("user", "add", "ada", "--no-password")["sub"]
    cli("user", "update", "ada", "--claim", "name=Ada", "--disable")
    cli("user", "remove", "ada")
    told = [(event.name, event.about, event.reason) for event in cli.events()]
    assert told == [
        ("user_added", sub, ""),
        ("user_updated", sub, "claims set"),
        ("user_updated", sub, "disabled"),
        ("cut_off_raised", sub, "disabled"),
        ("user_removed", sub, ""),
    ]


def test_a_person_is_signed_out_everywhere_and_may_come_back(cli: Cli) -> None:
    added = cli.json("user", "add", "ada", "--generate")
    assert cli.json("user", "sign-out", "ADA") == {"sub": added["sub"], "signed_out": True}
    assert cli("user", "sign-out", "ada") == "Signed ada out everywhere.\n"
    assert cli.signs_in("ada", added["password"])
    told = [(event.name, event.about, event.reason) for event in cli.events()]
    assert told[1:] == [("signed_out", added["sub"], "all sessions, by the operator")] * 2
    assert cli.refused("user", "sign-out", "nobody")[0] == "not_found"


def test_what_a_person_allowed_a_client_is_withdrawn_however_often(cli: Cli) -> None:
    sub = cli.json("user", "add", "ada", "--no-password")["sub"]
    withdrawn = {"sub": sub, "client_id": "app", "withdrawn": True}
    assert [cli.json("user", "withdraw", "ada", "app") for _ in range(2)] == [withdrawn] * 2
    told = [(event.name, event.about, event.client_id) for event in cli.events()]
    assert told[1:] == [("consent_withdrawn", sub, "app")] * 2
    assert cli.refused("user", "withdraw", "nobody", "app")[0] == "not_found"
