"""`form_post` and `web_message`: authorization responses that travel in a page of ours.

Source: OAuth 2.0 Form Post Response Mode; the web_message convention of the SDKs for silent sign-in in a hidden frame.
Both pages do their work by a small script file; form_post has a button beside it.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from detent.core.client import Client
from detent.core.errors import InvalidRequest
from detent.core.exchange import Response
from detent.pages.app_card import card_of
from detent.pages.rendering import Rendering
from detent.web.page import Locks, html_page, leads_to


class FormPost:
    name = "form_post"
    leads_away = True

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def check(self, client: Client, redirect_uri: str) -> None:
        if urlsplit(redirect_uri).scheme not in ("http", "https"):
            raise InvalidRequest("A form can be posted to an http or https address only.")

    def respond(self, client: Client, redirect_uri: str, parameters: Mapping[str, str]) -> Response:
        body = self._rendering.page(
            "form_post", app=card_of(client), redirect_uri=redirect_uri, parameters=dict(parameters)
        )
        return html_page(body, locks=Locks(script=True, forms=(leads_to(redirect_uri),)))


class WebMessage:
    name = "web_message"
    leads_away = False

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def check(self, client: Client, redirect_uri: str) -> None:
        """Only a registered origin is ever told anything."""
        if _origin(redirect_uri) not in client.web_origins:
            raise InvalidRequest("web_message needs a redirect_uri whose origin is registered as a web origin.")

    def respond(self, client: Client, redirect_uri: str, parameters: Mapping[str, str]) -> Response:
        told = msgspec.json.encode(dict(parameters)).decode()
        body = self._rendering.page("web_message", origin=_origin(redirect_uri), response=told)
        return html_page(body, locks=Locks(script=True, ancestors=client.web_origins))


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
