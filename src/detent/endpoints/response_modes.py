"""`response_mode=query`: the answer in the query of the redirect URI (OAuth 2.0 Multiple Response Types §2.1).

The modes that need a page (`form_post`, `web_message`) are pages/response_modes.py.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from detent.core.client import Client
from detent.core.exchange import Response
from detent.web.page import see_other


class Query:
    name = "query"
    leads_away = True

    def check(self, client: Client, redirect_uri: str) -> None:
        """It can take every redirect URI."""

    def respond(self, client: Client, redirect_uri: str, parameters: Mapping[str, str]) -> Response:
        return see_other(with_parameters(redirect_uri, parameters))


def with_parameters(uri: str, parameters: Mapping[str, str]) -> str:
    """The URI with these in its query; what it registered there stays, but never a second value of ours (attack R11).

    A URI without our names in its query keeps it byte for byte.
    """
    parts = urlsplit(uri)
    query = parts.query
    own = parse_qsl(query, keep_blank_values=True)
    if any(name in parameters for name, _ in own):
        query = urlencode([(name, value) for name, value in own if name not in parameters])
    return urlunsplit(parts._replace(query="&".join(filter(None, (query, urlencode(parameters))))))
