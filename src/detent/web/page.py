"""HTML for people: every page leaves with the same locks.

Source: RFC 9700 §4.16 (framing), §4.2.4 (referrer), Content Security Policy Level 3. There is no inline script or
style anywhere, nothing comes from other origins but a client's registered logo, and nothing is kept in a cache.
"""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from detent.core.exchange import Response
from detent.web.respond import NO_STORE, SAFE

HTML: Final = ("content-type", "text/html; charset=utf-8")
# Under no-referrer browsers send `Origin: null` with our own forms (Fetch, "append a request Origin header").
_SAFE: Final = (("x-content-type-options", "nosniff"), ("referrer-policy", "same-origin"))


class Locks(msgspec.Struct, frozen=True):
    """What a page may do beyond showing itself. `forms` and `ancestors` are CSP sources beside 'self' and nobody."""

    script: bool = False
    images: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    ancestors: tuple[str, ...] = ()


def html_page(body: str, status: int = 200, locks: Locks = Locks()) -> Response:
    headers = [HTML, *NO_STORE, *_SAFE, ("content-security-policy", _policy(locks))]
    if not locks.ancestors:
        headers.append(("x-frame-options", "DENY"))
    if not locks.forms and not locks.ancestors:  # whoever leads back to an app may stand in its popup
        headers.append(("cross-origin-opener-policy", "same-origin"))
    return Response(status, body.encode(), tuple(headers))


def see_other(location: str) -> Response:
    """303 and nothing else: no browser posts credentials on (RFC 9700 §4.12)."""
    return Response(303, b"", (("location", location), *NO_STORE, *SAFE))


def leads_to(uri: str) -> str:
    """The CSP source for a form whose answer redirects to `uri`: its scheme.

    Browsers hold the whole chain of redirects against `form-action`, the client's own next hops included, so a host
    here would break apps whose callback goes on to another one.
    """
    return f"{urlsplit(uri).scheme}:"


def _policy(locks: Locks) -> str:
    images = " ".join(("'self'", *locks.images))
    forms = " ".join(("'self'", *locks.forms))
    ancestors = " ".join(locks.ancestors) or "'none'"
    script = "script-src 'self'; " if locks.script else ""
    return (
        f"default-src 'none'; style-src 'self'; {script}img-src {images}; form-action {forms}; base-uri 'none'; "
        f"frame-ancestors {ancestors}"
    )
