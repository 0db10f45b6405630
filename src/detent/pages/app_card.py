"""Who asks: an app as people are shown it, on the sign-in, consent and sign-out pages."""

from urllib.parse import urlsplit

import msgspec

from detent.core.client import DOCUMENT, INITIATE_LOGIN_URI, LOOPBACK_HOSTS, Client
from detent.endpoints.response_modes import with_parameters
from detent.pages import words


class AppCard(msgspec.Struct, frozen=True):
    """`site` is the host that gets the answer: what the app cannot choose freely. `stranger`: no operator of ours
    registered it; then what it calls itself is its own word, and `vouched` the host, if any, that says so.
    """

    name: str
    site: str
    logo_uri: str
    policy_uri: str
    tos_uri: str
    stranger: bool = False
    vouched: str = ""

    @property
    def initial(self) -> str:
        """Stands where there is no logo."""
        return next((character for character in self.name if character.isalnum()), "•").upper()

    @property
    def is_here(self) -> bool:
        """Whether the answer goes to a program on the person's own device."""
        return self.site in LOOPBACK_HOSTS

    @property
    def images(self) -> tuple[str, ...]:
        """The CSP source of its logo."""
        parts = urlsplit(self.logo_uri)
        return (f"{parts.scheme}://{parts.netloc}",) if self.logo_uri else ()


def card_of(client: Client, redirect_uri: str = "") -> AppCard:
    parts = urlsplit(redirect_uri)
    site = (parts.hostname or parts.scheme) if redirect_uri else ""
    vouched = (urlsplit(client.client_id).hostname or "") if client.registered_by == DOCUMENT else ""
    stranger = bool(client.registered_by)
    return AppCard(name_of(client), site, client.logo_uri, client.policy_uri, client.tos_uri, stranger, vouched)


def start_of(client: Client, issuer: str) -> str:
    """Where the app begins a sign-in here on its own (OpenID Connect Core §4); empty where it named no such place.

    It is told who leads there and nothing of the person: a link needs no `login_hint` where the session answers.
    """
    uri = client.extra.get(INITIATE_LOGIN_URI, "")
    return with_parameters(uri, {"iss": issuer}) if uri else ""


def name_of(client: Client) -> str:
    return words.plain(client.client_name) or client.client_id
