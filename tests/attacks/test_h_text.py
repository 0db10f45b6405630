"""Attacks on parsing (rows H6, H7): text that is none, and values of a wrong shape.

Row H10 comes with lists, row H11 with the authorization endpoint.
"""

import base64
import json
from urllib.parse import urlencode, urlsplit

import pytest

from tests.attacks.outcomes import assert_refused, assert_unharmed, signed_in
from tests.attacks.wire import DOORS, FORM, Answer, posted, refreshing
from tests.serving import API, SECRET, Detent

pytestmark = pytest.mark.slow

# H6: escapes and text that is none


NO_TEXT = [
    "%", "%z", "%zz", "%2", "x%", "%%", "%u0041", "%00", "x%00y", "%c0%80", "%c0%af", "%e0%80%af", "%ff", "%fe",
    "%ed%a0%80", "%f4%90%80%80", "%80", "%c3", "%e2%82", "%f8%88%80%80%80",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_TEXT)
def test_attack_h6_an_escape_that_is_no_text_is_a_bad_request(standing: Detent, text: str) -> None:
    form, unharmed = refreshing(standing)
    good = urlencode(form)
    bodies = [
        f"{good}&x={text}", f"{text}=x&{good}", good.replace("grant_type=", f"grant_type={text}"),
        f"{good}&scope={text}", f"{good}&resource={text}", f"{good}&client_id={text}",
    ]  # fmt: skip
    for body in bodies:
        assert_refused(posted(standing, "/oauth/token", body, Content_Type=FORM), "invalid_request")
    for path in DOORS:
        assert_refused(posted(standing, path, bodies[0], Content_Type=FORM), "invalid_request")
        assert_refused(posted(standing, f"{path}?x={text}", good, Content_Type=FORM), "invalid_request")
    bearer = {"Authorization": "Bearer x"}
    assert_refused(standing.http.get(f"/userinfo?x={text}", headers=bearer), "invalid_request")
    assert_refused(standing.http.post("/userinfo", content=f"x={text}", headers={**bearer, "Content-Type": FORM}),
                   "invalid_request")  # fmt: skip
    unharmed()


PARAMETERS = [
    "grant_type", "client_id", "client_secret", "refresh_token", "token", "scope", "x", "retry_key", "username",
    "password", "code", "code_verifier", "resource",
]  # fmt: skip
RAW = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xc3", b"\0"]


@pytest.mark.parametrize("raw", RAW, ids=repr)
def test_attack_h6_bytes_that_are_no_text_are_a_bad_request(standing: Detent, raw: bytes) -> None:
    form, unharmed = refreshing(standing)
    for path in DOORS:
        body = urlencode(form).encode() + b"&x=" + raw
        assert_refused(posted(standing, path, body, Content_Type=FORM), "invalid_request")
        body = json.dumps(form).encode()[:-1] + b',"x":"' + raw + b'"}'
        assert_refused(posted(standing, path, body, Content_Type="application/json"), "invalid_request")
    unharmed()


@pytest.mark.parametrize("name", PARAMETERS)
def test_attack_h6_half_a_character_in_json_is_a_bad_request(standing: Detent, name: str) -> None:
    form, unharmed = refreshing(standing)
    for grant_type in ("refresh_token", "password", "authorization_code"):
        members = {**form, "grant_type": grant_type, "username": "test", "password": "test", "code": "x", name: "@"}
        for text in ("\\ud800", "\\udfff", "x\\ud83d", "\\udc00\\ud800", "\\u0000"):
            body = json.dumps(members).replace('"@"', f'"{text}"')
            assert_refused(posted(standing, "/oauth/token", body, Content_Type="application/json"), "invalid_request")
    unharmed()


CREDENTIALS = [
    b"%ff:secret", b"testclient:%ff", b"%00:secret", b"testclient%00:secret", b"testclient:secret%00", b"%:secret",
    b"test%zzclient:secret", b"\xff:secret", b"testclient:\xff", b"%c0%af:x", b":secret", b"testclient:", b"testclient",
    b":", b"\n", b"testclient:secret:x", b"testclient:secret\0", b"testclient :secret", b"%ed%a0%80:x",
]  # fmt: skip


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=repr)
def test_attack_h6_a_basic_header_that_is_no_text_is_no_client(standing: Detent, credentials: bytes) -> None:
    form = {"grant_type": "client_credentials", "token": "x"}
    header = f"Basic {base64.b64encode(credentials).decode()}"
    for path in DOORS:
        answer = standing.http.post(path, data=form, headers={"Authorization": header})
        assert_refused(answer, "invalid_client", 401)


@pytest.mark.parametrize("path", ["/%", "/%zz", "/%00", "/oauth/token%00", "/%c0%ae%c0%ae/", "/%ff", "/oauth/token%2f",
                                  "/oauth/%ff", "/.well-known/%"])  # fmt: skip
def test_attack_h6_a_path_that_is_no_text_leads_nowhere(standing: Detent, path: str) -> None:
    own = urlsplit(standing.issuer).netloc
    for method in ("GET", "POST"):
        answer = Answer(standing, f"{method} {path} HTTP/1.1\r\nHost: {own}\r\nContent-Length: 0\r\n\r\n".encode())
        assert answer.status_code in (400, 404)
        assert path not in answer.text


# H7: scopes and other values of a wrong shape


WRONG_SHAPES: dict[str, list[tuple[str, str]]] = {
    "scope[a]=b": [("scope[a]", "b")],
    "scope[]=b": [("scope[]", "read"), ("scope[]", "write")],
    "scope[0]": [("scope[0]", "read")],
    "grant_type[]": [("grant_type[]", "refresh_token")],
    "client_id[$ne]": [("client_id[$ne]", "x")],
    "scope twice": [("scope", "read"), ("scope", "write")],
    "10 000 scopes": [("scope", " ".join(f"s{number}" for number in range(10_000)))],
    "10 000 times one scope": [("scope", " ".join(["read"] * 10_000))],
    "a long scope": [("scope", "x" * 10_000)],
    "a tab": [("scope", "read\twrite")],
    "a line break": [("scope", "read\nwrite")],
    "CR LF": [("scope", "read\r\nX-Evil: 1")],
    "an escape sequence": [("scope", "\x1b[31mread")],
    "DEL": [("scope", "read\x7f")],
    "NUL": [("scope", "read\0")],
    "a quote": [("scope", 'read"write')],
    "a backslash": [("scope", "read\\write")],
    "an umlaut": [("scope", "läsen")],
    "a no-break space": [("scope", "read\u00a0write")],
    "right to left": [("scope", "\u202edaer")],
}


@pytest.mark.parametrize("what", WRONG_SHAPES)
def test_attack_h7_rfc6749_3_3_a_scope_of_a_wrong_shape_is_refused_and_spends_nothing(
    standing: Detent, what: str
) -> None:
    mine = signed_in(standing, "testclient")
    grants = {
        "testclient": [
            {
                "grant_type": "refresh_token",
                "refresh_token": mine["refresh_token"],
                "resource": API.replace("api", "vault"),
            },
            {"grant_type": "password", "username": "test", "password": "test"},
        ],
        "machine": [{"grant_type": "client_credentials"}],
    }
    for client, forms in grants.items():
        for form in forms:
            body = urlencode([*form.items(), *WRONG_SHAPES[what]])
            answer = standing.http.post(
                "/oauth/token", content=body, headers={"Content-Type": FORM}, auth=(client, SECRET)
            )
            assert answer.json()["error"] in ("invalid_request", "invalid_scope"), answer.text
            assert_refused(answer, answer.json()["error"])
            assert "evil" not in str(answer.headers).lower()
    assert_unharmed(standing, "testclient", [mine])


NO_STRINGS = [["read"], [], ["read", "write"], {"a": "b"}, {}, 1, 1.5, True, False, [None], [["read"]]]


@pytest.mark.parametrize("value", NO_STRINGS, ids=repr)
@pytest.mark.parametrize("name", ["scope", "grant_type", "refresh_token", "client_id"])
def test_attack_h7_a_json_value_that_is_no_string_is_refused(standing: Detent, name: str, value: object) -> None:
    form, unharmed = refreshing(standing)
    answer = posted(standing, "/oauth/token", json.dumps(form | {name: value}), Content_Type="application/json")
    assert_refused(answer, "invalid_request")
    unharmed()


@pytest.mark.parametrize("name", ["resource", "audience"])
@pytest.mark.parametrize("value", [{"a": "b"}, 1, True, [1], [["https://api.example/"]], [{}], [True]], ids=repr)
def test_attack_h7_a_resource_that_is_no_string_is_refused(standing: Detent, name: str, value: object) -> None:
    form, unharmed = refreshing(standing)
    answer = posted(standing, "/oauth/token", json.dumps(form | {name: value}), Content_Type="application/json")
    assert_refused(answer, "invalid_request")
    unharmed()


@pytest.mark.parametrize("name", ["grant_type", "client_id", "refresh_token", "resource", "username", "scope"])
@pytest.mark.parametrize(
    "text", ["\r\nX-Evil: 1", "\x1b[2J", "\u202e", "\x7f", "a\tb", "{{7*7}}", "<script>"], ids=repr
)
def test_attack_h7_control_characters_and_markup_are_refused_and_never_sent_back(
    standing: Detent, name: str, text: str
) -> None:
    mine = signed_in(standing, "testclient")
    form = {"grant_type": "password", "username": "test", "password": "test"}
    if name == "refresh_token":
        form = {"grant_type": "refresh_token"}
    answer = posted(standing, "/oauth/token", urlencode({**form, name: text}), Content_Type=FORM)
    error = answer.json()["error"]
    assert error in ("invalid_request", "invalid_grant", "invalid_scope", "invalid_target", "unsupported_grant_type")
    assert_refused(answer, error)
    assert "evil" not in str(answer.headers).lower()
    assert text not in answer.text or (text.isascii() and text.isprintable())
    assert_unharmed(standing, "testclient", [mine])
