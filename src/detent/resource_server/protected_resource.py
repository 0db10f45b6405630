"""What an API says of itself to whom it refuses: who issues its tokens, and which scopes it knows (RFC 9728).

Source: RFC 9728 §2 (the document), §3.1 (where it stands); agents of the Model Context Protocol begin here. Pure:
asgi.py serves it and names it in its refusals (§5.1). Leaves: whether a token is good, to access_tokens.py.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from detent.resource_server.bearer import is_realm
from detent.resource_server.fetch import checked_url

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """`resource` is the API's identifier, which is the `aud` of its tokens and the URL that clients are given;
    `authorization_servers` are issuers, as they write themselves. Members that are empty are left out.
    """

    resource: str
    authorization_servers: tuple[str, ...]
    scopes_supported: tuple[str, ...] = ()
    resource_name: str = ""
    resource_documentation: str = ""

    def __post_init__(self) -> None:
        for url in (self.resource, *self.authorization_servers):
            checked_url(url)
        if not self.authorization_servers or not is_realm(self.resource) or {"?", "#"} & set(self.resource):
            raise ValueError("a resource is a URL without query and fragment, and somebody issues its tokens")

    @property
    def path(self) -> str:
        path = urlsplit(self.resource).path
        return WELL_KNOWN + ("" if path == "/" else path)

    @property
    def url(self) -> str:
        parts = urlsplit(self.resource)
        return f"{parts.scheme}://{parts.netloc}{self.path}"

    def document(self) -> dict[str, Any]:
        members = {
            "resource": self.resource,
            "authorization_servers": list(self.authorization_servers),
            "scopes_supported": list(self.scopes_supported),
            "bearer_methods_supported": ["header"],
            "resource_name": self.resource_name,
            "resource_documentation": self.resource_documentation,
        }
        return {name: value for name, value in members.items() if value}
