"""What every form for people goes through: it came from a page of ours, in this browser, and from no other site.

Source: RFC 9700 §4.7, RFC 6749 §10.12; Fetch Metadata (`Sec-Fetch-Site`), RFC 6454 (`Origin`). The token is the proof;
the two headers are a second one, where a browser sends them.
"""

from typing import Final
from urllib.parse import urlsplit

from detent.core.errors import Forged, UnsupportedMediaType
from detent.core.exchange import Form, Request
from detent.endpoints.visitor import Visitor
from detent.web.form import FORM, parse_form

OURS: Final = ("same-origin", "none")  # "none": the person themselves, as when they load an answer again


class FormDoor:
    def __init__(self, issuer: str) -> None:
        self._scheme = urlsplit(issuer).scheme

    def form(self, request: Request, visitor: Visitor) -> Form:
        """The fields, once it is sure who sent them. Raises Forged (403)."""
        if not request.headers.get("content-type", "").lower().startswith(FORM):
            raise UnsupportedMediaType("This page takes forms only.")
        if visitor.is_new:
            raise Forged("Your browser sent no cookie. Allow cookies for this site, then go back to the app.")
        # The host was checked against our own at the edge.
        own = f"{self._scheme}://{request.headers.get('host', '').lower()}"
        if request.headers.get("origin", own) != own or request.headers.get("sec-fetch-site", "none") not in OURS:
            raise Forged("This form was sent from another site. Nothing was done.", detail="origin is not ours")
        form = parse_form(request)
        if not visitor.sent(form.get("csrf")):
            raise Forged("This form is from another browser or out of date. Load the page again.", detail="csrf")
        return form
