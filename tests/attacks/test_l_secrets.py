"""Attacks on logs, stored data and keys (rows L1, L3, L4).

Canaries are secrets that a whole life of sign-ins, refreshes and refusals has used; nothing that a server keeps or
says may hold one. Cookies and assertions come with sessions and private_key_jwt, metrics and traces with operations,
rows L2 and L5 to L10 with the logs, backups and drills they are about.
"""

import base64
import contextlib
import hashlib
import io
import json
import logging
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import apsw.shell
import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from detent.cli.main import main
from detent.client_auth.secret import secret_digest
from detent.core.api import SIGNING_ALGS, Api
from detent.core.changes import InsertApi, InsertClient
from detent.core.exchange import Form, Request, TokenResponse
from detent.core.family import Family, Origin
from detent.core.policy import Overrides
from detent.grants.authorization_code import sealed_code
from detent.keys.file import FileKeys
from detent.keys.ring import KeysError
from detent.ports import SecretKeys
from detent.registry import Claim, TokenRequest
from detent.sinks.log import LogSink, logging_to
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from detent.tokens.handle import Handles
from tests.attacks.outcomes import assert_refused, assert_unharmed, signed_in
from tests.serving import CURVE, SCOPES, START, VAULT, VERIFIER, Detent, client

PASSWORD = "canary-password-Xk29fjQ"
CLIENT_SECRET = "canary-client-secret-8Hd72Lw"
RETRY_KEY = "canary-retry-key-3Fz81QmPw0"
WRONG = "canary-wrong-secret-Zz55Rt"

Secrets = dict[str, str]


class Life:
    """A client and a person whose secrets are canaries, and all that was issued to them."""

    def __init__(self, detent: Detent) -> None:
        self.detent = detent
        keys: Any = detent.house.outside.keys
        grants = ("password", "refresh_token", "authorization_code")
        registered = client("canary", "web", keys, grant_types=grants, overrides=Overrides(rotating=True, overlap=60))
        secrets = (secret_digest(CLIENT_SECRET, keys, START),)
        detent.apply(InsertClient(msgspec.structs.replace(registered, secrets=secrets)))
        self.person = detent.thread.call(detent.house.people.add("canary", PASSWORD, {"name": "Canary"}))
        self.secrets: Secrets = {
            "password": PASSWORD, "client secret": CLIENT_SECRET, "retry key": RETRY_KEY, "wrong": WRONG,
            "code verifier": VERIFIER,
        }  # fmt: skip
        self._live()

    def ask(self, path: str = "/oauth/token", **form: Any) -> httpx.Response:
        return self.detent.http.post(path, data=form, auth=("canary", CLIENT_SECRET))

    def take(self, name: str, answer: httpx.Response) -> dict[str, Any]:
        tokens: dict[str, Any] = answer.json()
        assert answer.status_code == 200, answer.text
        for kind in ("access_token", "refresh_token", "id_token"):
            if kind in tokens:
                self.secrets[f"{name} {kind}"] = tokens[kind]
        return tokens

    def _live(self) -> None:
        """Sign in, refresh, lose an answer, be asked about, be robbed, sign out."""
        detent = self.detent
        sign_in = {"grant_type": "password", "username": "canary", "password": PASSWORD}
        first = self.take("first", self.ask(**sign_in, scope="openid profile read"))
        self.take("opaque", self.ask(**sign_in, resource=VAULT))
        renew = {"grant_type": "refresh_token", "retry_key": RETRY_KEY}
        second = self.take("second", self.ask(**renew, refresh_token=first["refresh_token"]))
        self.take("repeated", self.ask(**renew, refresh_token=first["refresh_token"]))
        detent.clock.advance(61)
        third = self.take("third", self.ask(grant_type="refresh_token", refresh_token=second["refresh_token"]))
        self.secrets["code"] = detent.code("canary", scope="openid read")
        redeem = {
            "grant_type": "authorization_code",
            "code_verifier": VERIFIER,
            "redirect_uri": "http://127.0.0.1:7777/callback",
        }
        self.take("redeemed", self.ask(**redeem, code=self.secrets["code"]))
        assert detent.secret(third["access_token"]).status_code == 200
        assert detent.secret(self.secrets["opaque access_token"], "/opaque/secret").status_code == 200
        bearer = {"Authorization": f"Bearer {third['access_token']}"}
        assert detent.http.get("/userinfo", headers=bearer).status_code == 200
        assert self.ask("/oauth/introspect", token=third["refresh_token"]).json()["active"] is True
        assert self.ask(**redeem, code=self.secrets["code"]).status_code == 400, "replayed"
        assert self.ask(grant_type="refresh_token", refresh_token=first["refresh_token"]).status_code == 400, "reused"
        assert self.ask("/oauth/revoke", token=self.secrets["opaque refresh_token"]).status_code == 200

    def needles(self) -> Iterator[tuple[str, str]]:
        """Each secret, and of long ones the end: the part that proves."""
        for name, secret in self.secrets.items():
            yield name, secret
            if len(secret) > 60:
                yield f"the end of the {name}", secret[-24:]


ONE_OF_A_KIND = (
    "password", "client secret", "retry key", "code", "first access_token", "third refresh_token", "first id_token",
    "opaque access_token",
)  # fmt: skip
WRONG_PLACES = (
    {"grant_type": "refresh_token", "refresh_token": "@"},
    {"grant_type": "authorization_code", "code": "@"},
    {"grant_type": "authorization_code", "code": "x", "code_verifier": "@"},
    {"grant_type": "password", "username": "canary", "password": "@"},
    {"grant_type": "password", "username": "@", "password": WRONG},
    {"grant_type": "client_credentials", "client_secret": "@", "client_id": "canary"},
    {"grant_type": "client_credentials", "client_id": "@"},
    {"grant_type": "@"},
    {"token": "@"},
    {"token": "@", "token_type_hint": "@"},
    {"grant_type": "refresh_token", "refresh_token": "x", "retry_key": "@"},
)


def provoked(life: Life, secret: str) -> Iterator[httpx.Response]:
    """Refusals of requests that hold the secret in every place that a form, a header or a URL has."""
    http = life.detent.http
    basic = base64.b64encode(f"canary:{secret}".encode()).decode()
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        for place in WRONG_PLACES:
            form = {name: value.replace("@", secret) for name, value in place.items()}
            yield http.post(path, json=form)
            yield http.post(path, data=form, headers={"Authorization": f"Basic {basic}"})
        yield http.post(path, content=f'{{"token":"{secret}"', headers={"Content-Type": "application/json"})
        yield http.post(
            path, content=f"token={secret}&x=%zz", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        yield http.post(path, content=f"token={secret}", headers={"Content-Type": "text/plain"})
        yield http.post(path, content=f"token={secret}&token={secret}")
        yield http.post(path, data={"grant_type": "x"}, params={"refresh_token": secret, "token": secret})
        yield http.get(path, params={"code": secret, "password": secret})
    for where in (http, life.detent.api):
        for route in ("/userinfo", "/secret", "/opaque/secret"):
            yield where.get(route, headers={"Authorization": f"Bearer {secret}x"})
            yield where.get(route, params={"access_token": secret})
    yield http.get(f"/{secret[:200]}")


@contextlib.contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """The product's own log, opened to DEBUG and to every library; less what the test's HTTP client logs."""
    log = io.StringIO()
    clients = [logging.getLogger(name) for name in ("httpx", "httpcore")]
    with logging_to(log, "debug"):
        logging.getLogger().setLevel(logging.DEBUG)
        for each in clients:
            each.setLevel(logging.WARNING)
        yield log
    for each in clients:
        each.setLevel(logging.NOTSET)


def test_attack_l1_no_secret_reaches_a_log_at_debug_or_an_answer_that_refuses(detent: Detent) -> None:
    with everything_logged() as log:
        life = Life(detent)
        answers = [answer for name in ONE_OF_A_KIND for answer in provoked(life, life.secrets[name])]
        for event in detent.sink.events:
            LogSink().emit(event)
        detent.thread.call(detent.store.close())
        answers += [life.ask(grant_type="refresh_token", refresh_token=life.secrets["third refresh_token"])]
    assert answers[-1].status_code == 503
    refused = [answer for answer in answers if answer.status_code >= 400]
    assert len(refused) > 500
    assert not [answer for answer in refused if answer.status_code == 500]

    logged = log.getvalue()
    told = "\n".join(map(repr, detent.sink.events))
    shown = "\n".join(f"{answer.text} {answer.headers}" for answer in refused)

    ids = {answer.json()["support_id"] for answer in refused if "support_id" in answer.json()}
    assert sum(each in logged for each in ids) > 300, "the log was on, and tells of refusals"
    assert "code_replayed" in told
    assert "code_replayed" in logged
    for name, secret in life.needles():
        for where, text in (("log", logged), ("events", told), ("answers", shown)):
            assert secret not in text, f"the {name} stands in the {where}"


def test_attack_l1_no_secret_shows_in_the_repr_of_what_carries_it(detent: Detent) -> None:
    life = Life(detent)
    secrets = life.secrets
    form = Form({name.replace(" ", "_"): secret for name, secret in secrets.items()})
    body = "&".join(f"{name}={secret}" for name, secret in form.values.items()).encode()
    headers = {"authorization": f"Basic {CLIENT_SECRET}", "x": secrets["first access_token"]}
    registered = detent.thread.call(detent.store.client("canary"))
    family = detent.family(secrets["third refresh_token"], "canary")
    handle = detent.house.handles.open_refresh(secrets["third refresh_token"], "canary")
    keys = detent.house.outside.keys
    carriers: list[object] = [
        Request("POST", "/oauth/token", f"token={secrets['code']}", headers, body, "127.0.0.1", "support"),
        form,
        Claim("canary", "client_secret_basic", CLIENT_SECRET),
        registered,
        family,
        life.person,
        TokenResponse(secrets["first access_token"], "Bearer", 1, "read", secrets["first refresh_token"]),
        TokenRequest(form, registered, START, Origin(), "support"),
        handle,
        keys.handle_keys(),
        keys.pepper(),
    ]
    raw = [family.seed, *keys.handle_keys().keys.values(), *keys.pepper().keys.values()]
    hidden = [life.person.password_hash, *(repr(secret)[2:-1] for secret in raw)]
    for carrier in carriers:
        for shown in (repr(carrier), str(carrier), f"{carrier}"):
            for name, secret in life.needles():
                assert secret not in shown, f"the {name} shows in {type(carrier).__name__}"
            assert not [secret for secret in hidden if secret in shown]


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
    [modulus, *_] = [key["n"] for key in detent.http.get("/.well-known/jwks.json").json()["keys"]]
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

    for seed in (bytes(32), family.seed[::-1], family.seed[:31] + b"\0", family.key.id * 2, b"s" * 32):
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
    for secret in (stored.digest.hex(), base64.b64encode(stored.digest).decode(), stored.digest.decode("latin-1")):
        answer = standing.http.post("/oauth/token", json={**form, "client_id": "testclient", "client_secret": secret})
        assert_refused(answer, "invalid_client", 401)
    password_hash = standing.user("test").password_hash
    assert password_hash.startswith("$argon2id$")
    assert_refused(standing.token("testclient", **(form | {"password": password_hash})))


# L4: keys


PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def key_material(folder: Path) -> list[str]:
    return [json.loads(path.read_bytes())["material"] for path in folder.glob("*.json")]


def on_the_command_line(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data", str(data)])


def test_attack_l4_rfc7517_4_the_key_set_holds_public_members_only(detent: Detent, keys_folder: Path) -> None:
    for alg in SIGNING_ALGS:
        detent.apply(InsertApi(Api(f"{CURVE}{alg}", START, "Curve", SCOPES, signing_alg=alg)))
        detent.sign_in(resource=f"{CURVE}{alg}")
    answer = detent.http.get("/.well-known/jwks.json")
    keys = answer.json()["keys"]
    assert {key["kty"] for key in keys} == {"RSA", "EC", "OKP"}
    for key in keys:
        assert not PRIVATE_MEMBERS & key.keys()
        assert key.keys() <= {"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y", "key_ops"}
    for material in key_material(keys_folder):
        assert material not in answer.text


COMMANDS = [
    ("key", "list"), ("key", "rotate"), ("key", "rotate", "--handle"), ("key", "rotate", "--pepper"),
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
