"""Parameters of a request body, parsed once and strictly (RFC 6749 §3.1, §3.2, Appendix B).

Form and JSON bodies; a repeated parameter is refused, an empty one or null is absent, unknown ones are ignored.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from detent.core.errors import InvalidRequest, UnsupportedMediaType
from detent.core.exchange import Form, Request

FORM: Final = "application/x-www-form-urlencoded"
MAX_PARAMETERS: Final = 100
MAX_RESOURCES: Final = 10
_RESOURCES: Final = ("resource", "audience")
_SECRETS: Final = frozenset(
    {"client_secret", "client_assertion", "password", "code", "code_verifier", "refresh_token", "token", "access_token"}
)
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")  # JSON can spell lone surrogates, and UTF-8 cannot
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CHARSET: Final = re.compile(r';\s*charset="?([^";]*)"?', re.IGNORECASE)


def parse_form(request: Request) -> Form:
    """The parameters of the body. Raises InvalidRequest, or UnsupportedMediaType (415) for another kind of body."""
    content_type = request.headers.get("content-type", "")
    kind = FORM if content_type == FORM else _media_type(request)
    charset = _CHARSET.search(content_type) if ";" in content_type else None
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.")
    if charset and charset[1].strip().lower() not in ("utf-8", "us-ascii"):
        raise UnsupportedMediaType("Send the body in UTF-8.")
    if kind == FORM:
        pairs = _urlencoded(_text(request.body))
    elif kind == "application/json":
        pairs = _json(_text(request.body))
    else:
        raise UnsupportedMediaType("Send the parameters as application/x-www-form-urlencoded or application/json.")
    form = _gathered(pairs)
    _check_query(request.query, form)
    return form


def parse_parameters(request: Request) -> Form:
    """The parameters of the query, or of the body of a POST. Raises as `parse_form` does."""
    return parse_form(request) if request.method == "POST" else _gathered(_urlencoded(request.query))


def parameter_names(request: Request) -> set[str]:
    """What the query and a form body name. Raises InvalidRequest if one of them is malformed."""
    pairs = _urlencoded(request.query)
    if _media_type(request) == FORM:
        pairs += _urlencoded(_text(request.body))
    return {name for name, _ in pairs}


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not UTF-8.") from None


def _urlencoded(text: str) -> list[tuple[str, str]]:
    if "%" in text and _BAD_ESCAPE.search(text):
        raise InvalidRequest("A percent sign is not followed by two hexadecimal digits.")
    if "%00" in text or "\0" in text:
        raise InvalidRequest("A parameter holds a NUL character.")
    if not ("%" in text or "+" in text or text.count("&") >= MAX_PARAMETERS):  # nothing to decode
        return [pair.partition("=")[::2] for pair in text.split("&") if pair]
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError:
        raise InvalidRequest("A parameter does not decode to UTF-8.") from None
    except ValueError:
        raise InvalidRequest(f"More than {MAX_PARAMETERS} parameters.") from None


def _json(text: str) -> list[tuple[str, str]]:
    """The members of the top object, duplicates and all, to be refused like those of a form; null is empty."""
    try:
        pairs = json.loads(text, object_pairs_hook=_Members, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not a JSON object.") from None
    if not isinstance(pairs, _Members):
        raise InvalidRequest("The body is not a JSON object.")
    if len(pairs) > MAX_PARAMETERS:
        raise InvalidRequest(f"More than {MAX_PARAMETERS} parameters.")
    values = [
        (name, "" if value is None else value)
        for name, given in pairs
        for value in (given if type(given) is list and name in _RESOURCES else [given])
    ]
    for name, value in values:
        if not isinstance(value, str):
            raise InvalidRequest(f"The parameter {name[:50]} must be a string.")
        if _NO_TEXT.search(value):
            raise InvalidRequest(f"The parameter {name[:50]} holds a NUL or an unpaired surrogate.")
    return values


class _Members(list[tuple[str, Any]]):
    """A JSON object as its members, told apart from a JSON array."""


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _gathered(pairs: Sequence[tuple[str, str]]) -> Form:
    """Asks of all at once what can be asked of all: every request comes through here."""
    values = dict(pairs)
    if "[" in "".join(values):  # scope[]=read and the like: read as unknown, it would mean "everything"
        name = next(name for name in values if "[" in name)
        raise InvalidRequest(f"The parameter {name[:50]} must be one string, without brackets in its name.")
    resources: tuple[str, ...] = ()
    if not values.keys().isdisjoint(_RESOURCES):
        resources = tuple(dict.fromkeys(value for name, value in pairs if value and name in _RESOURCES))
        if len(resources) > MAX_RESOURCES:
            raise InvalidRequest(f"At most {MAX_RESOURCES} resources can be asked for at once.")
        pairs = [(name, value) for name, value in pairs if name not in _RESOURCES]
        values = dict(pairs)
    if len(values) < len(pairs):
        name = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise InvalidRequest(f"The parameter {name[:50]} is repeated.")
    if "" in values.values():
        values = {name: value for name, value in values.items() if value}
    return Form(values, resources)


def _check_query(query: str, form: Form) -> None:
    """RFC 6749 §2.3.1, §3.1: no secret in a URI, and no parameter in two places."""
    if not query:
        return
    for name, _ in _urlencoded(query):
        if name in _SECRETS or name in form or (form.resources and name in _RESOURCES):
            raise InvalidRequest(f"The parameter {name[:50]} belongs in the body, not in the URL.")
