"""Attacks on HTTP (rows H1, H2, H5), against the real server, by raw sockets where need be.

Rows H3, H4, H8, H9 and H12 to H14 come with the hardening of the edge. What the HTTP parser itself refuses (a
negative Content-Length) never becomes a request, so that answer is the parser's: 400, connection closed, without a
support id.
"""

import gzip
import json
import time
from urllib.parse import urlencode, urlsplit

import pytest

from detent.web.asgi import MAX_BODY_BYTES
from tests.attacks.outcomes import assert_refused
from tests.attacks.wire import BASIC, DOORS, FORM, Answer, posted, refreshing
from tests.serving import Detent

MIB = 1 << 20
BOMB = gzip.compress(bytes(16 * MIB))
EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS")


# H1: methods and content types


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_attack_h1_rfc9110_15_5_6_a_wrong_method_is_405_and_allow_tells_the_right_ones(
    standing: Detent, method: str
) -> None:
    for path, route in standing.house.registry.routes.items():
        answer = standing.http.request(method, path.replace("{}", "1"), headers={"Content-Type": FORM})
        allowed = {*route.methods, "OPTIONS"} | ({"HEAD"} if "GET" in route.methods else set())
        if method in allowed:
            assert answer.status_code != 405, f"{method} {path}"
            continue
        assert answer.status_code == 405, f"{method} {path}"
        assert set(answer.headers["allow"].split(", ")) == allowed
        if route.page:
            assert "text/html" in answer.headers["content-type"], "told to a person"
        elif method != "HEAD":
            assert_refused(answer, "invalid_request", 405)


def test_attack_h1_options_without_a_preflight_says_what_is_allowed(standing: Detent) -> None:
    for path, route in standing.house.registry.routes.items():
        answer = standing.http.options(path.replace("{}", "1"))
        assert (answer.status_code, answer.content) == (204, b"")
        assert set(route.methods) <= set(answer.headers["allow"].split(", "))


OTHER_TYPES = [
    "", "text/plain", "text/xml", "application/xml", "application/octet-stream", "application/jwt",
    "multipart/form-data; boundary=x", "multipart/form-data", "application/x-www-form-urlencodedx",
    "application/json-patch+json", "application/problem+json", "x", "/", ";charset=utf-8", f"{FORM}, application/json",
]  # fmt: skip


@pytest.mark.parametrize("content_type", OTHER_TYPES, ids=lambda text: text or "none")
def test_attack_h1_rfc6749_3_2_another_content_type_is_415(standing: Detent, content_type: str) -> None:
    form, unharmed = refreshing(standing)
    header = {"Content_Type": content_type} if content_type else {}
    bodies = [urlencode(form), json.dumps(form)]
    if "boundary" in content_type:
        fields = "".join(f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in form.items())
        bodies = [f"{fields}--x--\r\n"]
    for path in DOORS:
        for body in bodies:
            assert_refused(posted(standing, path, body, **header), "invalid_request", 415)
    unharmed()


CHARSETS = ["utf-7", "utf-16", "utf-16le", "utf-32", "iso-8859-1", "windows-1252", '"utf-16"', "x", ""]


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("kind", [FORM, "application/json"])
def test_attack_h1_another_charset_is_415(standing: Detent, kind: str, charset: str) -> None:
    form, unharmed = refreshing(standing)
    text = urlencode(form) if kind == FORM else json.dumps(form)
    for content_type in (f"{kind}; charset={charset}", f"{kind};Charset={charset};x=y"):
        for content in (text.encode(), text.encode(charset if charset.startswith("utf") else "utf-8")):
            assert_refused(posted(standing, "/oauth/token", content, Content_Type=content_type), "invalid_request", 415)
    unharmed()


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "cp037"])
@pytest.mark.parametrize("kind", [FORM, "application/json"])
def test_attack_h1_a_body_in_another_charset_that_does_not_say_so_is_a_bad_request(
    standing: Detent, kind: str, charset: str
) -> None:
    form, unharmed = refreshing(standing)
    text = urlencode(form) if kind == FORM else json.dumps(form)
    assert_refused(posted(standing, "/oauth/token", text.encode(charset), Content_Type=kind), "invalid_request")
    unharmed()


@pytest.mark.parametrize(
    "coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "GZIP", "gzip, identity", "identity, gzip"]
)
def test_attack_h1_rfc9110_15_5_16_a_compressed_body_is_415_and_never_unpacked(standing: Detent, coding: str) -> None:
    form, unharmed = refreshing(standing)
    for content in (gzip.compress(urlencode(form).encode()), BOMB, urlencode(form).encode()):
        answer = posted(standing, "/oauth/token", content, Content_Type=FORM, Content_Encoding=coding)
        assert_refused(answer, "invalid_request", 415)
    unharmed()


NO_OBJECT = ["", "null", "[]", '[["grant_type","refresh_token"]]', '"x"', "1", "true", "{", "{}{}", "{'a':1}", "NaN"]


TOO_MUCH = ["[" * 60_000, '{"a":' * 10_000, '{"a":' + "9" * 60_000 + "}"]


@pytest.mark.parametrize("text", [*NO_OBJECT, '{"a":NaN}', *TOO_MUCH], ids=lambda text: text[:16])
def test_attack_h1_json_that_is_no_object_of_strings_is_a_bad_request(standing: Detent, text: str) -> None:
    for path in DOORS:
        assert_refused(posted(standing, path, text, Content_Type="application/json"), "invalid_request")


# H2: sizes


def padded(form: dict[str, str], size: int, kind: str = FORM) -> bytes:
    """The form with one unknown field more, `size` bytes in all."""
    body = urlencode(form).encode() + b"&pad=" if kind == FORM else json.dumps(form).encode()[:-1] + b',"pad":"'
    end = b"" if kind == FORM else b'"}'
    return body + b"x" * (size - len(body) - len(end)) + end


@pytest.mark.parametrize("kind", [FORM, "application/json"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_attack_h2_64_kb_is_taken_and_one_byte_more_is_413(standing: Detent, kind: str, chunked: bool) -> None:
    form, _ = refreshing(standing)
    assert MAX_BODY_BYTES == 64 * 1024
    for size, status in ((MAX_BODY_BYTES + 1, 413), (MIB, 413), (MAX_BODY_BYTES, 200)):
        body = padded(form, size, kind)
        assert len(body) == size
        pieces = iter([body[at : at + 4096] for at in range(0, size, 4096)])
        answer = posted(standing, "/oauth/token", pieces if chunked else body, Content_Type=kind)
        if status == 413:
            assert_refused(answer, "invalid_request", 413)
        else:
            assert answer.status_code == 200, "and nothing was spent before"


HEAD = "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: " + BASIC + "\r\nContent-Type: " + FORM + "\r\n"


@pytest.mark.parametrize("path", [*DOORS, "/userinfo"])
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 10**10, 10**15])
def test_attack_h2_an_announced_body_is_refused_before_a_byte_of_it_is_read(
    standing: Detent, path: str, size: int
) -> None:
    head = HEAD.format(path=path, host=urlsplit(standing.issuer).netloc)
    answer = Answer(standing, f"{head}Content-Length: {size}\r\n\r\n".encode())
    assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request")
    assert answer.json()["support_id"] in answer.json()["error_description"]


@pytest.mark.parametrize("path", [*DOORS, "/userinfo"])
def test_attack_h2_an_endless_body_is_refused_after_64_kb(standing: Detent, path: str) -> None:
    head = HEAD.format(path=path, host=urlsplit(standing.issuer).netloc)
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    answer = Answer(standing, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 17)
    assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request")


@pytest.mark.parametrize("path", DOORS)
def test_attack_h2_too_many_fields_are_refused_at_once(standing: Detent, path: str) -> None:
    form, unharmed = refreshing(standing)
    many = [f"f{number}" for number in range(100)]
    bodies = {
        (FORM, 413): ["a=b&" * 100_000, "&" * 100_000, "f=" + "x" * MIB],
        (FORM, 400): ["a&" * 30_000, "&" * 60_000, urlencode(form | dict.fromkeys(many, "x")), "=&" * 101],
        ("application/json", 413): [json.dumps(dict.fromkeys(map(str, range(10**5)))), json.dumps({"f": "x" * MIB})],
        ("application/json", 400): [json.dumps(form | dict.fromkeys(many, "x")), '{"a":"b",' * 7_000],
    }  # fmt: skip
    for (kind, status), texts in bodies.items():
        for text in texts:
            started = time.perf_counter()
            assert_refused(posted(standing, path, text, Content_Type=kind), "invalid_request", status)
            assert time.perf_counter() - started < 5
    unharmed()


@pytest.mark.parametrize("length", ["-1", "-65537", "abc", "1e3", "0x10", "+5", "5 5", "9" * 30, "9" * 5_000, ""])
def test_attack_h2_a_content_length_that_is_no_length_never_becomes_a_request(standing: Detent, length: str) -> None:
    head = HEAD.format(path="/oauth/token", host=urlsplit(standing.issuer).netloc)
    answer = Answer(standing, f"{head}Content-Length: {length}\r\n\r\na=b".encode())
    assert answer.status_code == 400
    assert standing.http.get("/health").status_code == 200


# H5: names of the host


def hosts(standing: Detent) -> list[str]:
    own = urlsplit(standing.issuer).netloc
    port = own.rpartition(":")[2]
    return [
        "evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil.example:{port}",
        f"evil.example@{own}", f"{own}@evil.example", f"{own}.", f"127.0.0.1.:{port}", f"127.1:{port}",
        f"2130706433:{port}", f"[::ffff:127.0.0.1]:{port}", f"{own}/", f"{own}, evil.example", f"{own}#", f" {own}x",
        "", "localhost",
    ]  # fmt: skip


def test_attack_h5_rfc9110_7_4_an_unknown_host_is_421_at_every_path(standing: Detent) -> None:
    form, unharmed = refreshing(standing)
    paths = [path for path in standing.house.registry.routes if path != "/health"]
    for host in hosts(standing):
        for path in (*paths, "/", "/nowhere"):
            request = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {BASIC}\r\nContent-Type: {FORM}\r\n"
            body = urlencode(form)
            answer = Answer(standing, f"{request}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert (answer.status_code, answer.json()["error"]) == (421, "invalid_request"), (host, path)
            assert answer.json()["support_id"] in answer.json()["error_description"]
            assert host.strip() in ("", *urlsplit(standing.issuer)) or host not in answer.text
    unharmed()


def test_attack_h5_no_host_and_two_hosts_are_421(standing: Detent) -> None:
    own = urlsplit(standing.issuer).netloc
    for head in (
        "GET /.well-known/jwks.json HTTP/1.1\r\n\r\n",
        "GET /.well-known/jwks.json HTTP/1.0\r\n\r\n",
        f"GET /.well-known/jwks.json HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n",
        f"GET /.well-known/jwks.json HTTP/1.1\r\nHost: {own}\r\nHost: {own}\r\n\r\n",
    ):
        assert Answer(standing, head.encode()).status_code == 421


def test_attack_h5_the_issuer_is_configured_and_no_header_changes_it(standing: Detent) -> None:
    paths = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json")
    plain = [standing.http.get(path).content for path in paths]
    port = urlsplit(standing.issuer).port
    forged: list[dict[str, str]] = [
        {"Forwarded": "for=203.0.113.9;host=evil.example;proto=https"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"},
        {"X-Forwarded-Prefix": "/evil", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Server": "evil.example"},
        {"X-Original-URL": "/evil", "X-Rewrite-URL": "/evil", "X-HTTP-Host-Override": "evil.example"},
        {
            "X-Host": "evil.example",
            "X-Real-IP": "203.0.113.9",
            "Via": "1.1 evil.example",
            "Origin": "https://evil.example",
        },
        {"Host": f"localhost:{port}"},
        {"Host": f"LOCALHOST:{port}"},
        {"Host": f"[::1]:{port}"},
    ]
    for headers in forged:
        for path, expected in zip(paths, plain, strict=True):
            answer = standing.http.get(path, headers=headers)
            assert (answer.status_code, answer.content) == (200, expected), headers
            assert "evil" not in str(answer.headers)
        tokens = standing.http.post(
            "/oauth/token",
            data={"grant_type": "password", "username": "test", "password": "test", "scope": "openid read"},
            headers={"Authorization": BASIC, **headers},
        ).json()
        assert standing.introspect(tokens["access_token"])["iss"] == standing.issuer
        network = standing.family(tokens["refresh_token"]).origin.network
        assert network == "127.0.0.0/24", "whence a request came is not what it says of itself"


def test_attack_h5_rfc9112_3_2_2_a_full_url_in_the_request_line_changes_nothing(standing: Detent) -> None:
    own = urlsplit(standing.issuer).netloc
    path = "/.well-known/openid-configuration"
    answer = Answer(standing, f"GET http://evil.example{path} HTTP/1.1\r\nHost: {own}\r\n\r\n".encode())
    assert "evil" not in answer.text
    assert answer.status_code in (200, 400, 421)
    if answer.status_code == 200:
        assert answer.json() == standing.http.get(path).json()


def test_attack_h5_health_answers_under_any_name_and_tells_nothing(standing: Detent) -> None:
    answer = Answer(standing, b"GET /health HTTP/1.1\r\nHost: 10.0.0.7:8080\r\n\r\n")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
