"""Attack on keys (row L4): never published, never shown, never readable by others.

Row L5, the compromise drill, comes with operations; `key rotate --now` is proved in tests/keys.
"""

import base64
import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from detent.cli.main import main
from detent.core.api import SIGNING_ALGS, Api
from detent.core.changes import InsertApi
from detent.keys.file import FileKeys
from detent.keys.ring import KeysError
from detent.testing.clock import ManualClock
from tests.attacks.canary import Life
from tests.serving import CURVE, SCOPES, START, Detent, running

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def key_material(folder: Path) -> list[str]:
    return [json.loads(path.read_bytes())["material"] for path in folder.glob("*.json")]


def on_the_command_line(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data", str(data)])


def test_attack_l4_rfc7517_4_the_key_set_holds_public_members_only(data: Path) -> None:
    with running(data, data / "keys", "memory") as served:
        for alg in SIGNING_ALGS:
            served.apply(InsertApi(Api(f"{CURVE}{alg}", START, "Curve", SCOPES, signing_alg=alg)))
            served.sign_in(resource=f"{CURVE}{alg}")
        answer = served.http.get("/.well-known/jwks.json")
    keys = answer.json()["keys"]
    assert {key["kty"] for key in keys} == {"RSA", "EC", "OKP"}
    for key in keys:
        assert not PRIVATE_MEMBERS & key.keys()
        assert key.keys() <= {"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y", "key_ops"}
    for material in key_material(data / "keys"):
        assert material not in answer.text


COMMANDS = [
    ("key", "list"), ("key", "rotate"), ("key", "rotate", "--handle"), ("key", "rotate", "--pepper"),
    ("key", "rotate", "--audit"), ("audit", "list"), ("audit", "export"), ("audit", "verify"),
    ("key", "rotate", "--alg", "ES256", "--now"), ("client", "add", "--kind", "web"), ("client", "list"),
    ("api", "list"), ("user", "list"), ("family", "list"), ("config", "explain"), ("config", "check"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_attack_l4_no_command_shows_a_key(data: Path, command: tuple[str, ...]) -> None:
    before = key_material(data / "keys")
    assert on_the_command_line(data, "client", "add", "--kind", "web").exit_code == 0
    for flags in ((), ("--json",)):
        result = on_the_command_line(data, *command, *flags)
        for material in (*before, *key_material(data / "keys")):
            raw = base64.b64decode(material)
            for spelling in (material, raw.hex(), base64.urlsafe_b64encode(raw).decode().rstrip("=")):
                assert spelling not in result.output
                assert spelling[8:40] not in result.output.replace("\n", "")


def test_attack_l4_a_client_secret_is_shown_once(data: Path) -> None:
    added = json.loads(on_the_command_line(data, "client", "add", "--kind", "web", "--json").stdout)
    for command in (("client", "list"), ("client", "show", added["client_id"])):
        for flags in ((), ("--json",)):
            shown = on_the_command_line(data, *command, *flags)
            assert shown.exit_code == 0
            assert added["client_id"] in shown.output
            assert added["client_secret"] not in shown.output
            assert "digest" not in shown.output


@pytest.mark.sqlite
def test_attack_l4_what_is_private_is_the_owners_alone(detent: Detent, tmp_path: Path, data: Path) -> None:
    Life(detent)
    for command in (("client", "add", "--kind", "web"), ("key", "rotate", "--alg", "EdDSA")):
        assert on_the_command_line(data, *command).exit_code == 0
    folders = (data, data / "keys", tmp_path)
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    assert {path.suffix for path in files} >= {".json", ".db", ".db-wal"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (data, data / "keys")} == {0o700}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666, 0o620, 0o602])
def test_attack_l4_the_start_is_refused_while_others_can_reach_a_key(data: Path, mode: int) -> None:
    keys = data / "keys"
    assert on_the_command_line(data, "client", "add", "--kind", "web").exit_code == 0
    for path in (next(keys.glob("RS256.*")), next(keys.glob("handle.*")), next(keys.glob("pepper.*"))):
        path.chmod(mode)
        with pytest.raises(KeysError, match=f"chmod 600 {path}"):
            FileKeys.open(keys, ManualClock(START))
        issuer = ("--issuer", "https://id.example/")
        for command in (("key", "list"), ("serve", "--port", "0", *issuer)):
            result = CliRunner().invoke(main, [*command, "--data", str(data), "--json"])
            assert result.exit_code == 1
            assert json.loads(result.stderr)["error"] == "keys_unusable"
            assert str(path) in json.loads(result.stderr)["error_description"]
        path.chmod(0o600)
    keys.chmod(0o755)
    with pytest.raises(KeysError, match=f"chmod 700 {keys}"):
        FileKeys.open(keys, ManualClock(START))
