"""Attack on stored data (row L3): what leaks with a dump is of no use without the key files, nor they without it.

Sessions come with the login page, rows L6 to L10 with backups, the audit chain and erasure.
"""

import base64
import contextlib
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import apsw.shell
import msgspec
import pytest

from detent.core.exchange import Form
from detent.core.family import Family
from detent.grants.authorization_code import sealed_code
from detent.keys.kek import Keks, new_kek
from detent.keys.ring import KeysError
from detent.ports import SecretKeys
from detent.system import SystemEntropy
from detent.tokens.handle import Handles
from tests.attacks.canary import Life
from tests.attacks.outcomes import assert_refused, assert_unharmed, signed_in
from tests.serving import START, VAULT, Detent, running


def dump(folder: Path, copy: Path) -> tuple[bytes, str]:
    """Everything of the store: its files as bytes, and as SQL."""
    copy.mkdir()
    raw = b"".join(Path(shutil.copy2(path, copy)).read_bytes() for path in folder.glob("detent.db*"))
    text = io.StringIO()
    with contextlib.closing(apsw.Connection(str(copy / "detent.db"))) as db:
        apsw.shell.Shell(stdout=text, db=db).process_command(".dump")  # type: ignore[no-untyped-call]
    return raw, text.getvalue()


def traces(secret: str) -> Iterator[bytes]:
    """The secret, what it decodes to, and the digests that somebody who guesses would compare, in any spelling."""
    plain = [secret.encode()]
    body = secret.partition("_")[2] if secret.startswith("dt") else ""
    if body:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        plain += [raw, raw[-20:], raw[-36:-20], body[-24:].encode()]
    elif secret.count(".") == 2:
        plain += [secret.rpartition(".")[2].encode()]
    digests = [
        getattr(hashlib, name)(secret.encode()).digest() for name in ("md5", "sha1", "sha256", "sha512", "blake2b")
    ]
    digests += [hashlib.blake2b(secret.encode(), digest_size=size).digest() for size in (16, 32)]
    for value in (*plain, *digests):
        yield value
        yield value.hex().encode()
        yield value.hex().upper().encode()
        yield base64.b64encode(value)
        yield base64.urlsafe_b64encode(value).rstrip(b"=")


@pytest.mark.sqlite
def test_attack_l3_rfc6819_5_1_4_1_3_a_dump_holds_no_token_code_secret_or_password(
    detent: Detent, tmp_path: Path
) -> None:
    life = Life(detent)
    assert (tmp_path / "detent.db-wal").stat().st_size > 0, "the journal is part of what leaks"
    raw, text = dump(tmp_path, tmp_path / "leaked")
    family = detent.family(life.secrets["third refresh_token"], "canary")
    assert family.seed in raw, "the dump is a whole one"
    assert family.seed.hex() in text.lower()
    assert "$argon2id$" in text, "a password is there as a slow hash"

    for name, secret in life.secrets.items():
        for trace in traces(secret):
            assert trace not in raw, f"the {name} stands in the files"
            assert trace.decode("latin-1") not in text, f"the {name} stands in the SQL"


class Guessed:
    """The keys of somebody who has everything but the key files; `signing_kid` and the rest are of no use to him."""

    def __init__(self, key_id: int, key: bytes) -> None:
        self._keys = SecretKeys(key_id, {key_id: key})

    def handle_keys(self) -> SecretKeys:
        return self._keys

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} takes no part in making handles")


def guesses(detent: Detent, family: Family) -> dict[str, bytes]:
    """32 bytes that stand in the dump or on the wire."""
    registered = detent.thread.call(detent.store.client("testclient"))
    installation = detent.thread.call(detent.store.installation())
    published = detent.http.get("/.well-known/jwks.json").json()["keys"]
    modulus = next(key["n"] for key in published if key["kty"] == "RSA")
    return {
        "zeros": bytes(32),
        "the seed": family.seed,
        "the client's digest": registered.secrets[0].digest,
        "the name of the store": hashlib.sha256(installation.store_id.encode()).digest(),
        "the public key": hashlib.sha256(modulus.encode()).digest(),
        "the pepper": detent.house.outside.keys.pepper().keys[detent.house.outside.keys.pepper().current],
        "any key": b"k" * 32,
    }


@pytest.mark.parametrize("client_id", ["testclient", "app"])
def test_attack_l3_a_dump_without_the_key_files_makes_no_refresh_token(standing: Detent, client_id: str) -> None:
    mine = signed_in(standing, client_id)
    family = standing.family(mine["refresh_token"], client_id)
    assert standing.house.handles.refresh_token(family) == mine["refresh_token"], "with both halves it is this one"

    for key in guesses(standing, family).values():
        forged = Handles(Guessed(family.handle_key, key), SystemEntropy()).refresh_token(family)
        assert_refused(standing.refresh(client_id, forged))
        assert standing.revoke(forged, client_id).status_code == 200

    assert standing.family(mine["refresh_token"], client_id) == family
    assert_unharmed(standing, client_id, [mine])


@pytest.mark.parametrize("client_id", ["testclient", "app"])
def test_attack_l3_the_handle_key_without_the_row_makes_no_refresh_token(standing: Detent, client_id: str) -> None:
    mine = signed_in(standing, client_id)
    family = standing.family(mine["refresh_token"], client_id)
    handles = standing.house.handles

    for seed in (
        bytes(32),
        family.seed[::-1],
        family.seed[:31] + bytes([family.seed[31] ^ 1]),
        family.key.id * 2,
        b"s" * 32,
    ):
        for generation in (family.generation, family.generation + 1, 0):
            stranger = msgspec.structs.replace(family, seed=seed, generation=generation)
            forged = handles.refresh_token(stranger)
            assert handles.open_refresh(forged, client_id) is not None, "its outer tag is good"
            assert_refused(standing.refresh(client_id, forged))
            assert standing.revoke(forged, client_id).status_code == 200
            if client_id == "testclient":
                assert standing.introspect(forged) == {"active": False}

    assert standing.family(mine["refresh_token"], client_id) == family
    assert_unharmed(standing, client_id, [mine])


def test_attack_l3_a_dump_makes_no_code_and_no_opaque_access_token(standing: Detent) -> None:
    mine = signed_in(standing, "app")
    family = standing.family(mine["refresh_token"], "app")
    genuine = standing.code("app", resource=(VAULT,))
    pending = standing.house.registry.grants["authorization_code"].screen(Form({"code": genuine}), "app", START)
    claims = standing.house.access.read(mine["access_token"], standing.clock.now())
    for key in guesses(standing, family).values():
        handles = Handles(Guessed(family.handle_key, key), SystemEntropy())
        assert_refused(standing.redeem("app", sealed_code(handles, pending)))
        forged = handles.seal("dtat_", msgspec.msgpack.encode(claims))
        assert standing.secret(forged, "/opaque/secret").status_code == 401
        assert standing.introspect(forged, "demo-api") == {"active": False}
    assert standing.redeem("app", genuine).status_code == 200


def test_attack_l3_what_is_stored_of_a_secret_is_no_secret(standing: Detent) -> None:
    registered = standing.thread.call(standing.store.client("testclient"))
    form = {"grant_type": "password", "username": "test", "password": "test"}
    [stored] = registered.secrets
    raw = stored.digest.replace(b"\0", b"").decode("latin-1")  # a NUL would be refused before it is compared
    for secret in (stored.digest.hex(), base64.b64encode(stored.digest).decode(), raw):
        answer = standing.http.post("/oauth/token", json={**form, "client_id": "testclient", "client_secret": secret})
        assert_refused(answer, "invalid_client", 401)
    password_hash = standing.user("test").password_hash
    assert password_hash.startswith("$argon2id$")
    assert_refused(standing.token("testclient", **(form | {"password": password_hash})))


def kek_file(path: Path) -> Path:
    path.write_text(new_kek())
    path.chmod(0o600)
    return path


@pytest.mark.sqlite
def test_attack_l3_keys_in_the_store_are_of_no_use_without_their_key_encryption_key(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    keks, others = Keks(kek_file(tmp_path / "kek")), Keks(kek_file(tmp_path / "other"))
    with running(tmp_path / "data", tmp_path / "none", "sqlite", kek=keks.path) as detent:
        mine = signed_in(detent, "testclient")
        family = detent.family(mine["refresh_token"])
        wrapped = detent.thread.call(detent.store.wrapped_keys()).keys
        raw, text = dump(tmp_path / "data", tmp_path / "leaked")
        assert {each.purpose for each in wrapped} == {"RS256", "handle", "pepper", "audit"}
        for each in wrapped:
            assert each.wrapped.hex() in text.lower(), "the dump is a whole one"
        for _, material in keks.unwrap(wrapped):
            for part in (material[-32:], material[len(material) // 2 :][:32]):  # of an RSA key the primes too
                assert part not in raw
                assert part.hex() not in text.lower()

        for each in wrapped:
            for posed in (each, msgspec.structs.replace(each, kek=others.first())):
                with pytest.raises(KeysError):
                    others.unwrap([posed])
            for guess in (each.wrapped[:32], each.wrapped[-32:], each.wrapped[12:44]):
                forged = Handles(Guessed(family.handle_key, guess), SystemEntropy()).refresh_token(family)
                assert_refused(detent.refresh("testclient", forged))
        assert_unharmed(detent, "testclient", [mine])


def test_attack_l3_what_is_said_of_a_wrapped_key_cannot_be_exchanged_in_the_store(tmp_path: Path) -> None:
    """Whoever can write to the store makes no retired key sign again, and no key of one purpose serve another."""
    (tmp_path / "data").mkdir()
    keks = Keks(kek_file(tmp_path / "kek"))
    with running(tmp_path / "data", tmp_path / "none", "memory", kek=keks.path) as detent:
        wrapped = detent.thread.call(detent.store.wrapped_keys()).keys
    assert len(keks.unwrap(wrapped)) == len(wrapped)
    for each in wrapped:
        for change in (
            {"id": "7"},
            {"purpose": "pepper" if each.purpose != "pepper" else "audit"},
            {"purpose": "another"},
            {"created_at": each.created_at - 1},
            {"use_from": START + 1},
            {"wrapped": each.wrapped[:-1] + bytes([each.wrapped[-1] ^ 1])},
            {"wrapped": each.wrapped[:11]},
            {"wrapped": b""},
        ):
            with pytest.raises(KeysError, match="not what was put there"):
                keks.unwrap([msgspec.structs.replace(each, **change)])
