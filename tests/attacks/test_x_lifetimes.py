"""Attack on configuration (row X10): a lifetime that is none is refused where it is configured, not when it is used.

The server's settings hold no lifetime: all of them belong to clients and APIs.
"""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from detent.cli.main import main
from detent.core.api import Api, checked_api
from detent.core.client import Client, checked_client
from detent.core.errors import InvalidClientMetadata
from detent.core.ids import ClientId, Instant
from detent.core.policy import DAY, KINDS, ClientKind, Overrides, effective_policy
from detent.settings.declared import DECLARED
from tests.serving import API, Detent

NO_LIFETIME = [-1, -(2**31), 0, 2**31, 2**31 - 1, 2**63, 10**9, 10**30]
LIFETIMES = ("access_life", "idle", "absolute")


@pytest.mark.parametrize("name", [*LIFETIMES, "overlap"])
@pytest.mark.parametrize("kind", KINDS)
def test_attack_x10_a_lifetime_out_of_bounds_is_refused_at_configuration(kind: ClientKind, name: str) -> None:
    for seconds in NO_LIFETIME:
        overrides = msgspec.structs.replace(Overrides(), **{name: seconds})
        if name == "overlap" and seconds == 0:
            assert effective_policy(kind, overrides).overlap == 0, "strict, and no life of anything"
        else:
            assert_cannot_be_configured(kind, name, overrides)


def assert_cannot_be_configured(kind: ClientKind, name: str, overrides: Overrides) -> None:
    with pytest.raises(InvalidClientMetadata, match=name):
        effective_policy(kind, overrides)
    registered = Client(ClientId("x"), kind, Instant(0), overrides=overrides)
    method = "none" if KINDS[kind].public else "client_secret_basic"
    grants = ("client_credentials",) if kind == "machine" else ("authorization_code", "refresh_token")
    registered = msgspec.structs.replace(registered, token_endpoint_auth_method=method, grant_types=grants)
    with pytest.raises(InvalidClientMetadata, match=name):
        checked_client(registered, frozenset(grants))


@pytest.mark.parametrize("seconds", NO_LIFETIME)
def test_attack_x10_an_apis_access_life_out_of_bounds_is_refused(seconds: int) -> None:
    with pytest.raises(InvalidClientMetadata, match="access_life"):
        checked_api(Api(API, Instant(0), access_life=seconds), frozenset({"jwt"}))
    checked_api(Api(API, Instant(0), access_life=60), frozenset({"jwt"}))


NO_NUMBERS = ['"NaN"', "NaN", "1e400", "1.5", '"3600"', "true", "[3600]", "{}", "Infinity", "1e999999"]


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("name", LIFETIMES)
def test_attack_x10_what_is_no_whole_number_is_refused_where_text_becomes_a_setting(name: str, text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(f'{{"{name}":{text}}}', type=Overrides)
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode('{"access_lives":3600}', type=Overrides)  # an unknown name is not a setting that is off


@pytest.mark.parametrize("seconds", ["-1", "0", str(2**31), str(2**63), "1e9", "1000000000", "NaN", "inf", "1.5", ""])
def test_attack_x10_the_command_line_registers_no_such_lifetime(data: Path, seconds: str) -> None:
    def ends(*command: str) -> int:
        return CliRunner().invoke(main, [*command, "--data", str(data), "--json"]).exit_code

    def listed() -> list[Any]:
        outputs = [
            CliRunner().invoke(main, [kind, "list", "--json", "--data", str(data)]) for kind in ("client", "api")
        ]
        return [json.loads(output.stdout) for output in outputs]

    assert ends("client", "add", "--kind", "web") == 0
    before = listed()
    for flag in ("--access-life", "--idle", "--absolute", "--overlap"):
        if (flag, seconds) != ("--overlap", "0"):
            assert ends("client", "add", "--kind", "web", flag, seconds) in (1, 2)
            assert ends("client", "update", before[0][0]["client_id"], flag, seconds) in (1, 2)
    assert ends("api", "add", API, "--access-life", seconds) in (1, 2)
    assert listed() == before


def test_attack_x10_lifetimes_that_do_not_fit_each_other_are_refused() -> None:
    for wrong in (Overrides(access_life=3600, idle=7200), Overrides(idle=86400, absolute=86399)):
        with pytest.raises(InvalidClientMetadata, match=r"idle|absolute"):
            effective_policy("web", wrong)


def test_attack_x10_no_answer_ever_holds_a_lifetime_that_is_not_positive(standing: Detent) -> None:
    machine = standing.token("machine", grant_type="client_credentials").json()
    for tokens in (standing.sign_in(), standing.sign_in("app"), machine):
        assert isinstance(tokens["expires_in"], int)
        assert 0 < tokens["expires_in"] <= 86400
        payload = tokens["access_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert claims["exp"] - claims["iat"] == tokens["expires_in"]


def test_attack_x10_a_lifetime_that_the_server_is_set_to_is_positive_and_has_an_end() -> None:
    lifetimes = [
        setting
        for setting in DECLARED.values()
        if setting.about.unit == "seconds" and setting.name != "shutdown_delay"  # which nothing lives for
    ]
    assert [setting.name for setting in lifetimes] == ["session_idle", "session_absolute", "status_list_ttl"]
    for setting in lifetimes:
        assert 0 < setting.about.low < setting.default < setting.about.high <= 400 * DAY
