"""Who development mode is played with: the APIs, the clients and the people, as values.

The demo apps run on whatever ports were free, so what is registered for them is a function of where they are.
Leaves: putting it into a store, to seeds.py.
"""

from typing import Any, Final

import msgspec

from detent.admin.registrations import ApiFields, ClientFields
from detent.core.policy import MINUTE, ClientKind
from detent.features.device import GRANT_TYPE as DEVICE_GRANT

DEMO_API, REPORTS, VAULT = (f"https://{name}.example/" for name in ("demo-api", "reports", "vault"))
BROWSER_APP, WEB_APP, INTROSPECTING = "demo-browser", "demo-web", "demo-api"
BROWSER_PORT, WEB_PORT = 3000, 3001
PUBLISHED: Final = {"testclient": "secret", "test": "test"}
_ALL: Final = ("read", "write", "reports", "vault")


class Apps(msgspec.Struct, frozen=True):
    """The origins of the two demo apps."""

    browser: str = f"http://127.0.0.1:{BROWSER_PORT}"
    web: str = f"http://127.0.0.1:{WEB_PORT}"


USUAL: Final = Apps()

APIS: Final[dict[str, ApiFields]] = {
    DEMO_API: ApiFields(name="Demo API", scopes={"read": "Read the secret area", "write": "Write to the secret area"}),
    REPORTS: ApiFields(name="Reports", scopes={"reports": "See reports"}),
    VAULT: ApiFields(
        name="Vault, with opaque tokens",
        scopes={"vault": "Open the vault"},
        token_format="opaque",
        introspected_by=(INTROSPECTING,),
    ),
}

CLIENTS: Final[dict[str, tuple[ClientKind, ClientFields]]] = {
    "testclient": (
        "web",
        ClientFields(
            client_name="Walk-through",
            grant_types=("password", "refresh_token"),
            scope=_ALL,
            default_audience=DEMO_API,
            rotating=True,
            overlap=0,
        ),
    ),
    BROWSER_APP: (
        "browser",
        ClientFields(
            client_name="Demo browser app",
            scope=_ALL,
            default_audience=DEMO_API,
            access_life=2 * MINUTE,  # so that the silent refresh is seen within the first ten minutes
        ),
    ),
    WEB_APP: (
        "web",
        ClientFields(client_name="Demo web app", scope=_ALL, default_audience=DEMO_API, first_party=True),
    ),
    "demo-native": (
        "native",
        ClientFields(
            client_name="Demo native app",
            redirect_uris=("http://127.0.0.1/callback", "com.example.demo:/callback"),
            scope=_ALL,
            default_audience=DEMO_API,
        ),
    ),
    "demo-device": (
        "cli",
        ClientFields(
            client_name="Demo command line",
            grant_types=(DEVICE_GRANT, "refresh_token"),
            scope=_ALL,
            default_audience=DEMO_API,
        ),
    ),
    "demo-machine": (
        "machine",
        ClientFields(client_name="Demo machine", scope=("read",), default_audience=DEMO_API),
    ),
    INTROSPECTING: ("machine", ClientFields(client_name="The demo API itself, to introspect")),
}


def fields_at(client_id: str, apps: Apps) -> ClientFields:
    """What is registered of this client because of where its app runs."""
    if client_id == BROWSER_APP:
        fields = _at(apps.browser, "callback", "silent")
        return msgspec.structs.replace(fields, web_origins=both_names(apps.browser))
    return _at(apps.web, "callback") if client_id == WEB_APP else ClientFields()


def _at(origin: str, *callbacks: str) -> ClientFields:
    """`localhost` too, for an app of your own that takes the demo app's place."""
    both = both_names(origin)
    return ClientFields(
        client_uri=f"{origin}/",
        logo_uri=f"{origin}/icon.svg",
        policy_uri=f"{origin}/privacy",
        tos_uri=f"{origin}/privacy#terms",
        redirect_uris=tuple(f"{each}/{path}" for each in both for path in callbacks),
        post_logout_redirect_uris=tuple(f"{each}/signed-out" for each in both),
    )


def both_names(origin: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((origin, origin.replace("127.0.0.1", "localhost"))))


# Every standard claim of OpenID Connect Core §5.1; `preferred_username` is the name they sign in with.
USERS: Final[dict[str, dict[str, Any]]] = {
    "test": {
        "name": "Test Person",
        "given_name": "Test",
        "family_name": "Person",
        "middle_name": "Quality",
        "nickname": "Testy",
        "profile": "https://example.com/people/test",
        "picture": "https://example.com/test.png",
        "website": "https://test.example.com/",
        "gender": "diverse",
        "birthdate": "1990-10-31",
        "zoneinfo": "Europe/Berlin",
        "locale": "en-GB",
        "email": "test@example.com",
        "email_verified": True,
        "phone_number": "+49 30 5550100",
        "phone_number_verified": True,
        "address": {
            "formatted": "Probestraße 1\n10115 Berlin\nGermany",
            "street_address": "Probestraße 1",
            "locality": "Berlin",
            "region": "Berlin",
            "postal_code": "10115",
            "country": "Germany",
        },
    },
    "ada": {
        "name": "Ada Lovelace",
        "given_name": "Augusta Ada",
        "family_name": "Lovelace",
        "middle_name": "King",
        "nickname": "Ada",
        "profile": "https://example.com/people/ada",
        "picture": "https://example.com/ada.png",
        "website": "https://ada.example.com/",
        "gender": "female",
        "birthdate": "1815-12-10",
        "zoneinfo": "Europe/London",
        "locale": "en-GB",
        "email": "ada@example.com",
        "email_verified": True,
        "phone_number": "+44 20 7946 0815",
        "phone_number_verified": False,
        "address": {
            "formatted": "12 St James's Square\nLondon SW1Y 4JH\nUnited Kingdom",
            "street_address": "12 St James's Square",
            "locality": "London",
            "region": "England",
            "postal_code": "SW1Y 4JH",
            "country": "United Kingdom",
        },
    },
}
