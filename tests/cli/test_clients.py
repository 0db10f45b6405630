"""`detent client …`: what can be registered, what is shown once, and what is refused (RFC 7591, attack X10)."""

import base64

import pytest

from detent.core.policy import KINDS
from tests.cli.conftest import Cli

API = "https://api.example/"


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["browser", "native", "cli"])
def test_rfc7591_a_public_client_gets_an_id_and_no_secret(kind: str, cli: Cli) -> None:
    added = cli.json("client", "add", "--kind", kind, "--name", "App", "--redirect-uri", "http://127.0.0.1:3000/cb")
    assert added["token_endpoint_auth_method"] == "none"
    assert added["grant_types"] == ["authorization_code", "refresh_token"]
    assert "client_secret" not in added
    assert cli.json("client", "show", added["client_id"]) == added


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["web", "machine"])
def test_rfc7591_a_confidential_client_gets_a_secret_that_is_shown_once_and_not_kept(kind: str, cli: Cli) -> None:
    added = cli.json("client", "add", "--kind", kind)
    secret = added.pop("client_secret")
    assert added.pop("client_secret_expires_at") == 0
    assert len(base64.urlsafe_b64decode(secret.removeprefix("dtcs_") + "=")) == 32
    assert cli.accepts(added["client_id"], secret)
    assert cli.json("client", "show", added["client_id"]) == added
    assert cli.json("client", "list") == [added]
    assert secret.encode() not in cli.everything()


@pytest.mark.quick
def test_a_client_is_what_was_asked_for(cli: Cli) -> None:
    cli("api", "add", API, "--scope", "read", "--scope", "write")
    added = cli.json(
        "client", "add", "--kind", "web", "--name", "Shop", "--redirect-uri", "https://shop.example/cb",
        "--redirect-uri", "https://shop.example/other", "--origin", "https://shop.example", "--grant",
        "authorization_code refresh_token", "--grant", "client_credentials", "--scope", "read write", "--audience", API,
        "--rotating", "--overlap", "30", "--on-reuse", "suspect", "--access-life", "600", "--idle", "86400",
        "--absolute", "864000",
    )  # fmt: skip
    assert added["client_name"] == "Shop"
    assert added["redirect_uris"] == ["https://shop.example/cb", "https://shop.example/other"]
    assert added["web_origins"] == ["https://shop.example"]
    assert added["grant_types"] == ["authorization_code", "refresh_token", "client_credentials"]
    assert (added["scope"], added["default_audience"]) == ("read write", API)
    policy = {name: knob["value"] for name, knob in added["policy"].items()}
    assert policy == {
        "rotates": "always", "overlap": 30, "on_reuse": "suspect", "access_life": 600, "idle": 86400,
        "absolute": 864000,
    }  # fmt: skip
    assert all(knob["overridden"] for knob in added["policy"].values())


@pytest.mark.quick
def test_rfc7591_2_what_people_are_shown_and_where_the_browser_may_go_can_be_chosen_and_changed(cli: Cli) -> None:
    pages = {name: f"https://app.example/{name}" for name in ("client_uri", "logo_uri", "policy_uri", "tos_uri")}
    flags = [text for name, url in pages.items() for text in (f"--{name.replace('_', '-')}", url)]
    back = (
        "--post-logout-redirect-uri",
        "https://app.example/",
        "--post-logout-redirect-uri",
        "https://app.example/out",
    )
    added = cli.json("client", "add", "--kind", "web", *flags, *back, "--first-party", "--no-require-pkce")
    assert {name: added[name] for name in pages} == pages
    assert added["post_logout_redirect_uris"] == ["https://app.example/", "https://app.example/out"]
    assert (added["first_party"], added["require_pkce"]) == (True, False)
    told = " ".join(cli("client", "show", added["client_id"]).split())
    assert "logo_uri https://app.example/logo_uri" in told
    assert "post_logout_redirect_uris https://app.example/ https://app.example/out" in told
    assert "first_party yes require_pkce no" in told
    update = ("client", "update", added["client_id"])
    changed = cli.json(
        *update, "--no-first-party", "--require-pkce", "--logo-uri", "", "--post-logout-redirect-uri", ""
    )
    assert (changed["first_party"], changed["require_pkce"], changed["logo_uri"]) == (False, True, "")
    assert (changed["post_logout_redirect_uris"], changed["tos_uri"]) == ([], pages["tos_uri"])


def test_a_new_client_is_nobodys_own_and_needs_pkce(cli: Cli) -> None:
    added = cli.json("client", "add", "--kind", "web")
    assert (added["first_party"], added["require_pkce"], added["post_logout_redirect_uris"]) == (False, True, [])


def test_show_says_which_values_are_the_kinds_and_by_which_clause(cli: Cli) -> None:
    client_id = cli.json("client", "add", "--kind", "native", "--overlap", "10")["client_id"]
    policy = cli.json("client", "show", client_id)["policy"]
    assert policy["overlap"] == {"value": 10, "default": 60, "overridden": True, "clause": KINDS["native"].clause}
    assert policy["idle"]["overridden"] is False
    told = " ".join(cli("client", "show", client_id).split())
    assert "overlap 10 s this client (its kind: 60 s)" in told
    assert f"idle 2592000 s its kind ({KINDS['native'].clause})" in told


@pytest.mark.quick
def test_a_refresh_strategy_is_chosen_shown_and_refused_where_it_is_not_safe(cli: Cli) -> None:
    added = cli.json("client", "add", "--kind", "web", "--refresh-strategy", "short_lived")
    assert added["refresh_strategy"] == cli.stored(added["client_id"]).refresh_strategy == "short_lived"
    assert added["policy"].keys() == {"access_life", "idle", "absolute"}, "it has no other knob"
    told = " ".join(cli("client", "show", added["client_id"]).split())
    assert "refresh_strategy short_lived" in told
    assert "idle 3600 s its kind (refresh_strategy short_lived)" in told
    back = cli.json("client", "update", added["client_id"], "--refresh-strategy", "family")
    assert (back["refresh_strategy"], back["policy"]["idle"]["value"]) == ("family", 1209600)
    assert cli.json("client", "add", "--kind", "native")["refresh_strategy"] == "family"
    for kind, strategy, why in (
        ("browser", "denylist", "not for a browser client"),
        ("web", "hope", "one of: family, allowlist, denylist"),
    ):
        code, told = cli.refused("client", "add", "--kind", kind, "--refresh-strategy", strategy)
        assert code == "invalid_client_metadata"
        assert why in told


def test_rfc9449_5_2_members_of_features_are_chosen_shown_and_taken_back(cli: Cli) -> None:
    added = cli.json("client", "add", "--kind", "native", "--metadata", "dpop_bound_access_tokens=true")
    assert added["dpop_bound_access_tokens"] is True
    renamed = cli.json("client", "update", added["client_id"], "--name", "New")
    assert renamed["dpop_bound_access_tokens"] is True
    assert "dpop_bound_access_tokens" in cli("client", "show", added["client_id"])
    back = cli.json("client", "update", added["client_id"], "--metadata", "dpop_bound_access_tokens=default")
    assert "dpop_bound_access_tokens" not in back


def test_update_replaces_a_list_empties_it_and_takes_a_default_back(cli: Cli) -> None:
    cli("api", "add", API)
    client_id = cli.json(
        "client",
        "add",
        "--kind",
        "web",
        "--scope",
        "a b",
        "--audience",
        API,
        "--idle",
        "86400",
        "--on-reuse",
        "suspect",
    )["client_id"]
    changed = cli.json("client", "update", client_id, "--scope", "c", "--name", "New")
    assert (changed["scope"], changed["client_name"], changed["default_audience"]) == ("c", "New", API)
    emptied = cli.json(
        "client", "update", client_id, "--scope", "", "--audience", "", "--idle", "default", "--on-reuse", "default"
    )
    assert (emptied["scope"], emptied["default_audience"], emptied["client_name"]) == ("", None, "New")
    assert not any(knob["overridden"] for knob in emptied["policy"].values())


def test_disabling_voids_what_was_issued_and_enabling_revives_nothing(cli: Cli) -> None:
    client_id = cli.json("client", "add", "--kind", "native")["client_id"]
    assert cli.json("client", "update", client_id, "--disable")["enabled"] is False
    assert cli.stored(client_id).epoch == cli.stored(client_id).created_at + 1
    cli("client", "update", client_id, "--disable", "--name", "Still")
    assert cli.stored(client_id).epoch == cli.stored(client_id).created_at + 1
    assert cli.json("client", "update", client_id, "--enable")["enabled"] is True
    assert cli.stored(client_id).epoch == cli.stored(client_id).created_at + 1


def test_a_client_can_be_disabled_when_its_api_is_gone(cli: Cli) -> None:
    cli("api", "add", API)
    client_id = cli.json("client", "add", "--kind", "native", "--audience", API)["client_id"]
    cli("api", "remove", API)
    assert cli.json("client", "update", client_id, "--disable")["enabled"] is False


def test_an_update_that_changes_nothing_writes_nothing(cli: Cli) -> None:
    client_id = cli.json("client", "add", "--kind", "native", "--name", "App")["client_id"]
    cli("client", "update", client_id, "--name", "App")
    assert cli.stored(client_id).version == 1
    assert [event.name for event in cli.events()] == ["client_added"]


def test_a_rotated_secret_replaces_the_old_one_at_once(cli: Cli) -> None:
    added = cli.json("client", "add", "--kind", "machine")
    rotated = cli.json("client", "rotate-secret", added["client_id"])
    assert cli.accepts(added["client_id"], rotated["client_secret"])
    assert not cli.accepts(added["client_id"], added["client_secret"])


def test_with_an_overlap_the_old_secret_stays_good_that_long_and_only_the_last_one_does(cli: Cli) -> None:
    added = cli.json("client", "add", "--kind", "machine")
    client_id, first = added["client_id"], added["client_secret"]
    second = cli.json("client", "rotate-secret", client_id, "--overlap", "3600")["client_secret"]
    assert cli.accepts(client_id, first, 3590)
    assert not cli.accepts(client_id, first, 3610)
    third = cli.json("client", "rotate-secret", client_id, "--overlap", "60")["client_secret"]
    assert [cli.accepts(client_id, secret) for secret in (first, second, third)] == [False, True, True]
    assert len(cli.stored(client_id).secrets) == 2
    assert cli.accepts(client_id, third, 10**9)


@pytest.mark.parametrize("overlap", ["-1", "2592001", str(2**31), str(2**63)])
def test_x10_the_overlap_of_secrets_is_bounded(overlap: str, cli: Cli) -> None:
    client_id = cli.json("client", "add", "--kind", "machine")["client_id"]
    code, told = cli.refused("client", "rotate-secret", client_id, "--overlap", overlap)
    assert (code, told) == ("invalid_client_metadata", "overlap must be between 0 and 2592000 seconds.")


def test_a_public_client_has_no_secret_to_rotate(cli: Cli) -> None:
    client_id = cli.json("client", "add", "--kind", "native")["client_id"]
    code, told = cli.refused("client", "rotate-secret", client_id)
    assert (code, told) == ("invalid_client_metadata", "A native client is public: it has no secret.")


@pytest.mark.quick
def test_a_removed_client_is_gone(cli: Cli) -> None:
    client_id = cli.json("client", "add", "--kind", "native")["client_id"]
    assert cli.json("client", "remove", client_id) == {"client_id": client_id, "removed": True}
    assert cli.json("client", "list") == []
    for command in ("show", "update", "remove", "rotate-secret"):
        code, told = cli.refused("client", command, client_id)
        assert code == "not_found"
        assert client_id in told


def test_every_change_is_in_the_audit_log(cli: Cli) -> None:
    client_id = cli.json("client", "add", "--kind", "web")["client_id"]
    cli("client", "update", client_id, "--scope", "a", "--idle", "86400")
    cli("client", "rotate-secret", client_id)
    cli("client", "remove", client_id)
    told = [(event.name, event.about, event.client_id, event.reason) for event in cli.events()]
    assert told == [
        ("client_added", client_id, client_id, ""),
        ("client_updated", client_id, client_id, "scope, idle"),
        ("client_secret_rotated", client_id, client_id, ""),
        ("client_removed", client_id, client_id, ""),
    ]


OUT_OF_RANGE = [
    (life, value)
    for life in ("access-life", "idle", "absolute", "overlap")
    for value in ("-1", "0", str(2**31), str(2**63))
    if (life, value) != ("overlap", "0")  # the strictest overlap there is
]


@pytest.mark.parametrize(("life", "value"), OUT_OF_RANGE)
def test_x10_lifetimes_out_of_range_are_refused(life: str, value: str, cli: Cli) -> None:
    code, told = cli.refused("client", "add", "--kind", "native", f"--{life}", value)
    assert code == "invalid_client_metadata"
    assert told.startswith(f"{life.replace('-', '_')} must be between")
    assert cli.json("client", "list") == []


@pytest.mark.parametrize("life", ["access-life", "idle", "absolute", "overlap"])
@pytest.mark.parametrize("value", ["NaN", "1e9", "inf", "1.5", "", "9" * 5000])
def test_x10_lifetimes_that_are_no_numbers_are_refused(life: str, value: str, cli: Cli) -> None:
    assert "is not a valid integer" in cli.misused("client", "add", "--kind", "native", f"--{life}", value)


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (("--kind", "web", "--grant", "implicit"), "what this server does not offer: implicit"),
        (("--kind", "browser", "--grant", "client_credentials"), "for confidential clients"),
        (("--kind", "machine", "--grant", "refresh_token"), "and no other"),
        (("--kind", "browser", "--redirect-uri", "http://app.example/cb"), "must use https outside loopback"),
        (("--kind", "browser", "--redirect-uri", "https://app.example/#x"), "must not have a fragment"),
        (("--kind", "browser", "--redirect-uri", "https://*.example/"), "wildcards are not possible"),
        (("--kind", "browser", "--redirect-uri", "app:/cb"), "private schemes are for native"),
        (("--kind", "browser", "--origin", "https://app.example/"), "must be scheme://host[:port]"),
        (("--kind", "browser", "--no-rotating"), "a public client always rotates"),
        (("--kind", "browser", "--no-require-pkce"), "cannot do without PKCE"),
        (("--kind", "web", "--logo-uri", "http://app.example/logo.png"), "must be an https URL"),
        (("--kind", "web", "--tos-uri", "javascript:alert(1)"), "must be an https URL"),
        (("--kind", "web", "--post-logout-redirect-uri", "http://app.example/"), "must use https outside loopback"),
        (("--kind", "native", "--idle", "7200"), "longer than twice access_life"),
        (("--kind", "native", "--absolute", "86400"), "absolute (86400 s) must not be shorter"),
        (("--kind", "web", "--audience", API), "register https://api.example/ first"),
        (("--kind", "web", "--scope", 'a"b'), "not a scope"),
        (("--kind", "web", "--metadata", "x=true"), "is no client metadata of this server; its features have: "),
        (("--kind", "web", "--metadata", "dpop_bound_access_tokens=yes"), "Expected `bool`, got `str`"),
        (("--kind", "web", "--metadata", "dpop_bound_access_tokens=1"), "Expected `bool`, got `int`"),
    ],
)
def test_an_unsafe_registration_is_refused_with_what_to_change(
    arguments: tuple[str, ...], because: str, cli: Cli
) -> None:
    code, told = cli.refused("client", "add", *arguments)
    assert code == "invalid_client_metadata"
    assert because in told
    assert cli.json("client", "list") == []


def test_the_password_grant_is_given_only_when_asked_for(cli: Cli) -> None:
    assert "password" not in cli.json("client", "add", "--kind", "web")["grant_types"]
    assert cli.json("client", "add", "--kind", "web", "--grant", "password")["grant_types"] == ["password"]


def test_a_long_list_can_be_read_in_parts(cli: Cli) -> None:
    ids = sorted(cli.json("client", "add", "--kind", "native")["client_id"] for _ in range(3))
    first = [each["client_id"] for each in cli.json("client", "list", "--limit", "2")]
    rest = [each["client_id"] for each in cli.json("client", "list", "--after", first[-1])]
    assert first + rest == ids
