"""`detent api …`: what tokens can be for (RFC 8707, RFC 9068)."""

import pytest

from tests.cli.conftest import Cli

pytestmark = pytest.mark.quick

API = "https://api.example/"


def test_an_api_is_what_was_asked_for(cli: Cli) -> None:
    added = cli.json(
        "api", "add", API, "--name", "Orders", "--scope", "read=Read your orders", "--scope", "write", "--format",
        "opaque", "--alg", "ES256", "--access-life", "300", "--client", "shop", "--introspected-by", "orders",
    )  # fmt: skip
    created_at = added.pop("created_at")
    assert isinstance(created_at, int)
    assert added == {
        "identifier": API, "name": "Orders", "scopes": {"read": "Read your orders", "write": "write"},
        "token_format": "opaque", "signing_alg": "ES256", "access_life": 300, "clients": ["shop"],
        "introspected_by": ["orders"],
    }  # fmt: skip
    assert cli.json("api", "show", API) == {**added, "created_at": created_at}
    assert cli.json("api", "list") == [{**added, "created_at": created_at}]
    assert "Orders" in cli("api", "list")
    assert "read write" in cli("api", "show", API)


def test_update_replaces_a_list_and_takes_a_default_back(cli: Cli) -> None:
    cli("api", "add", API, "--scope", "read", "--access-life", "300")
    changed = cli.json("api", "update", API, "--scope", "write", "--access-life", "default", "--client", "*")
    assert (changed["scopes"], changed["access_life"], changed["clients"]) == ({"write": "write"}, None, ["*"])
    assert cli.json("api", "update", API, "--scope", "")["scopes"] == {}


def test_a_removed_api_is_gone_and_every_change_was_noted(cli: Cli) -> None:
    cli("api", "add", API)
    cli("api", "update", API, "--name", "New")
    assert cli.json("api", "remove", API) == {"identifier": API, "removed": True}
    assert cli.json("api", "list") == []
    for command in ("show", "update", "remove"):
        assert cli.refused("api", command, API)[0] == "not_found"
    told = [(event.name, event.about, event.client_id, event.reason) for event in cli.events()]
    assert told == [("api_added", API, "", ""), ("api_updated", API, "", "name"), ("api_removed", API, "", "")]


def test_an_identifier_is_registered_once(cli: Cli) -> None:
    cli("api", "add", API)
    assert cli.refused("api", "add", API)[0] == "already_exists"


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (("orders",), "absolute URI without fragment"),
        (("https://api.example/#x",), "absolute URI without fragment"),
        ((API, "--scope", "openid"), "cannot be an API's"),
        ((API, "--scope", "a b"), "cannot be an API's"),
        ((API, "--format", "saml"), "token_format must be one of: jwt, opaque"),
        ((API, "--access-life", "0"), "access_life must be between"),
        ((API, "--access-life", str(2**63)), "access_life must be between"),
    ],
)
def test_x10_an_unusable_api_is_refused_with_what_to_change(arguments: tuple[str, ...], because: str, cli: Cli) -> None:
    code, told = cli.refused("api", "add", *arguments)
    assert code == "invalid_client_metadata"
    assert because in told
