"""Keys in files: made on the first start, private or refused, whole or absent, the same for every process."""

import asyncio
import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from joserfc import jws
from joserfc.jwk import JWKRegistry

from detent.core.api import SIGNING_ALGS, SigningAlg
from detent.core.errors import KeyUnknown
from detent.keys.directory import PrivateDirectory
from detent.keys.file import FileKeys
from detent.keys.ring import SECRET_PURPOSES, KeysError
from detent.resource_server.keys import VerificationKeys
from detent.testing.clock import ManualClock

EVERY_ALG = frozenset(SIGNING_ALGS)
CLAIMS = {"iss": "https://id.example/", "aud": ["https://api.example/"], "exp": 1_800_000_600}
PUBLIC_MEMBERS = {
    "RS256": {"kty", "kid", "use", "alg", "n", "e"},
    "PS256": {"kty", "kid", "use", "alg", "n", "e"},
    "ES256": {"kty", "kid", "use", "alg", "crv", "x", "y"},
    "EdDSA": {"kty", "kid", "use", "alg", "crv", "x"},
}


def everything(keys: FileKeys) -> object:
    """All that an instance answers with, for comparing two of them."""
    secrets = [(found.current, found.keys) for found in (keys.handle_keys(), keys.pepper(), keys.audit_keys())]
    return keys.public_jwks(EVERY_ALG), secrets, keys.states()


def test_the_first_start_makes_a_key_that_signs_its_published_successor_a_handle_key_a_pepper_and_an_audit_key(
    tmp_path: Path, clock: ManualClock
) -> None:
    keys = FileKeys.open(tmp_path / "data" / "keys", clock)
    found = [(each.key.purpose, each.state) for each in keys.states()]
    assert found == [
        ("RS256", "current"),
        ("RS256", "next"),
        ("handle", "current"),
        ("pepper", "current"),
        ("audit", "current"),
    ]
    assert [jwk["kid"] for jwk in keys.public_jwks(EVERY_ALG)] == [each.key.id for each in keys.states()[:2]]
    assert [len(key) for found in (keys.handle_keys(), keys.pepper()) for key in found.keys.values()] == [32, 32]
    assert keys.handle_keys().keys != keys.pepper().keys


def test_keys_are_the_same_after_a_restart(path: Path, clock: ManualClock) -> None:
    assert everything(FileKeys.open(path, clock)) == everything(FileKeys.open(path, clock))


def test_two_processes_that_start_first_at_the_same_time_agree(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from detent.keys.file import FileKeys;"
        "from detent.testing.clock import ManualClock;"
        "print(FileKeys.open(Path(sys.argv[1]), ManualClock()).states())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "keys")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = [process.communicate(timeout=60)[0] for process in both]
    assert first == second
    assert first.count("RingKey(") == 5


# Private


def test_l4_the_directory_is_0700_and_every_file_0600_whatever_the_umask(tmp_path: Path, clock: ManualClock) -> None:
    before = os.umask(0)
    try:
        asyncio.run(FileKeys.open(tmp_path / "keys", clock).sign("ES256", "JWT", CLAIMS))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "keys").iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_l4_a_key_file_open_to_others_is_refused_with_the_line_that_closes_it(
    path: Path, clock: ManualClock, mode: int
) -> None:
    file = next(path.glob("RS256.*"))
    file.chmod(mode)
    with pytest.raises(KeysError, match=rf"mode {mode:04o}.*chmod 600 {file}"):
        FileKeys.open(path, clock)


def test_l4_a_directory_open_to_others_is_refused_with_the_line_that_closes_it(path: Path, clock: ManualClock) -> None:
    path.chmod(0o755)
    with pytest.raises(KeysError, match=f"chmod 700 {path}"):
        FileKeys.open(path, clock)


def test_l4_the_line_can_be_pasted_even_if_the_path_has_spaces(tmp_path: Path, clock: ManualClock) -> None:
    odd = tmp_path / "my keys"
    odd.mkdir(mode=0o755)
    with pytest.raises(KeysError) as refusal:
        FileKeys.open(odd, clock)
    subprocess.run(str(refusal.value).partition("Run: ")[2], shell=True, check=True)  # noqa: S602  # as pasted
    FileKeys.open(odd, clock)


def test_l4_a_link_to_a_file_elsewhere_is_refused(path: Path, clock: ManualClock) -> None:
    file = next(path.glob("handle.*"))
    elsewhere = file.rename(path.parent / "elsewhere")
    file.symlink_to(elsewhere)
    with pytest.raises(KeysError, match=str(file)):
        FileKeys.open(path, clock)


@pytest.mark.system
@pytest.mark.parametrize("which", [".", "pepper.1.json"])
def test_l4_what_belongs_to_somebody_else_is_refused(path: Path, clock: ManualClock, which: str) -> None:
    os.chown(path / which, 12_345, -1)
    with pytest.raises(KeysError, match="belongs to user 12345"):
        FileKeys.open(path, clock)


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeysError, match="cannot be the directory of the keys"):
        FileKeys.open(tmp_path / "file", clock)


def test_l4_only_public_members_are_published(keys: FileKeys) -> None:
    for alg in SIGNING_ALGS:
        keys.signing_kid(alg)
    published = keys.public_jwks(EVERY_ALG)
    assert [jwk["alg"] for jwk in published] == [alg for alg in SIGNING_ALGS for _ in range(2)]
    for jwk in published:
        assert jwk.keys() == PUBLIC_MEMBERS[jwk["alg"]]
        assert jwk["use"] == "sig"
        assert not JWKRegistry.import_key(dict(jwk)).is_private


def test_l4_nothing_prints_private_material(path: Path, clock: ManualClock) -> None:
    keys = FileKeys.open(path, clock)
    printed = repr(
        [
            keys,
            vars(keys),
            keys.states(),
            keys.handle_keys(),
            keys.pepper(),
            keys.audit_keys(),
            asyncio.run(keys.rotate("handle")),
        ]
    )
    for file in path.iterdir():
        material = json.loads(file.read_bytes())["material"]
        raw = base64.b64decode(material)
        forms = (material, base64.urlsafe_b64encode(raw).decode().rstrip("="), raw.hex(), repr(raw))
        assert not [form for form in forms if form in printed or form[8:40] in printed]


# Whole or absent


@pytest.mark.parametrize("purpose", ["RS256", *SECRET_PURPOSES])
@pytest.mark.parametrize("fault", ["empty", "cut short", "a flipped bit", "another's name", "more than a key"])
def test_a_corrupt_file_is_refused_by_name_and_not_repeated(
    path: Path, clock: ManualClock, purpose: str, fault: str
) -> None:
    file = next(path.glob(f"{purpose}.*"))
    content = json.loads(file.read_bytes())
    material = bytearray(base64.b64decode(content["material"]))
    material[len(material) // 2] ^= 1
    flipped = base64.b64encode(material).decode()
    match fault:
        case "empty":
            file.write_bytes(b"")
        case "cut short":
            file.write_bytes(file.read_bytes()[:-40])
        case "a flipped bit":
            file.write_text(json.dumps(content | {"material": flipped}))
        case "another's name":
            file = file.rename(path / f"{purpose}.2.json")
        case "more than a key":
            file.write_text(json.dumps(content | {"note": "mine"}))
    with pytest.raises(KeysError, match=str(file)) as refusal:
        FileKeys.open(path, clock)
    assert content["material"][:16] not in str(refusal.value)


def test_what_a_crashed_writer_left_is_no_key_and_is_cleared_away(path: Path, clock: ManualClock) -> None:
    before = everything(FileKeys.open(path, clock))
    leftover = path / ".x7k2.tmp"
    leftover.write_bytes(b'{"key"')
    assert everything(FileKeys.open(path, clock)) == before
    assert not leftover.exists()


def test_a_first_start_that_broke_off_is_finished_by_the_next(path: Path, clock: ManualClock) -> None:
    signs, following = [each.key.id for each in FileKeys.open(path, clock).states()[:2]]
    for file in (f"RS256.{following}", "handle.1", "pepper.1"):
        (path / f"{file}.json").unlink()
    keys = FileKeys.open(path, clock)
    assert keys.signing_kid("RS256") == signs
    assert [each.key.purpose for each in keys.states()] == ["RS256", "RS256", "handle", "pepper", "audit"]


def test_a_write_that_fails_leaves_every_key_as_it_was(path: Path, clock: ManualClock) -> None:
    keys = FileKeys.open(path, clock)
    before = everything(keys)
    (path / "handle.2.json").mkdir(mode=0o700)  # where the new key would go
    with pytest.raises((KeysError, OSError)):
        asyncio.run(keys.rotate("handle"))
    (path / "handle.2.json").rmdir()
    assert everything(FileKeys.open(path, clock)) == before
    assert not list(path.glob(".*"))


def test_a_directory_that_turns_bad_leaves_a_running_server_its_keys_and_says_so_once(
    path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    keys = FileKeys.open(path, clock)
    before = everything(keys)
    file = path / "handle.1.json"
    content = file.read_bytes()
    for bad in (b"", None):
        file.write_bytes(bad) if bad is not None else file.unlink()
        for _ in range(3):
            clock.advance(1)
            assert everything(keys) == before
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert str(file) in caplog.messages[0]
    assert "holds no key for handle" in caplog.messages[1]
    file.write_bytes(content)
    file.chmod(0o600)
    clock.advance(1)
    assert everything(keys) == before
    assert len(caplog.records) == 2


# Signing


@pytest.mark.parametrize("alg", SIGNING_ALGS)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_rfc7515_what_is_signed_verifies_with_the_published_key_that_its_kid_names(
    keys: FileKeys, alg: SigningAlg
) -> None:
    token = asyncio.run(keys.sign(alg, "at+jwt", CLAIMS))
    (jwk,) = [jwk for jwk in keys.public_jwks(EVERY_ALG) if jwk["kid"] == keys.signing_kid(alg)]
    read = jws.deserialize_compact(token, JWKRegistry.import_key(dict(jwk)), algorithms=[alg])
    assert read.headers() == {"typ": "at+jwt", "alg": alg, "kid": jwk["kid"]}
    assert json.loads(read.payload or b"") == CLAIMS


def test_rfc7638_a_kid_is_the_beginning_of_the_keys_thumbprint(keys: FileKeys) -> None:
    keys.signing_kid("ES256")
    for jwk in keys.public_jwks(EVERY_ALG):
        assert JWKRegistry.import_key(dict(jwk)).thumbprint().startswith(jwk["kid"])
        assert len(jwk["kid"]) == 16


@pytest.mark.parametrize("alg", ["ES256", "EdDSA"])
def test_the_key_set_is_rsa_only_until_another_algorithm_is_needed(
    path: Path, clock: ManualClock, alg: SigningAlg
) -> None:
    keys = FileKeys.open(path, clock)
    assert {jwk["alg"] for jwk in keys.public_jwks(EVERY_ALG)} == {"RS256"}
    token = asyncio.run(keys.sign(alg, "JWT", CLAIMS))
    assert [jwk["alg"] for jwk in keys.public_jwks(frozenset({alg}))] == [alg, alg]
    assert FileKeys.open(path, clock).signing_kid(alg) == keys.signing_kid(alg)
    published = VerificationKeys.from_jwks({"keys": keys.public_jwks(EVERY_ALG)})
    signing_input, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    assert published.select(alg, keys.signing_kid(alg)).verifies(alg, signing_input.encode(), raw)


def test_who_invents_keys_has_no_file_looked_at_and_one_that_was_put_in_a_moment_ago_is_found_all_the_same(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, other = FileKeys.open(path, clock), FileKeys.open(path, clock)
    os.utime(path, (0, 0))  # long ago
    keys.missed()
    looks, stamps = [], PrivateDirectory.stamps

    def looked(directory: PrivateDirectory) -> dict[str, tuple[int, int]]:
        looks.append(directory)
        return stamps(directory)

    monkeypatch.setattr(PrivateDirectory, "stamps", looked)
    for _ in range(100):
        keys.missed()
    assert not looks

    key = asyncio.run(other.rotate("handle", at_once=True))
    with pytest.raises(KeyUnknown):
        keys.missed()
    assert int(key.id) in keys.handle_keys().keys

    os.utime(path, (2**32, 2**32))  # not long ago
    looks.clear()
    for _ in range(2):
        keys.missed()
    assert len(looks) == 2, "another key could be there since, and the directory would say the same"
    os.utime(path, (0, 0))
    keys.missed()
    os.rename(path, path.with_name("elsewhere"))
    keys.missed()
    assert int(key.id) in keys.handle_keys().keys
