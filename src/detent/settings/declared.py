"""Every setting, declared once: name, type, default, unit, one sentence, and what it weakens, if it does.

The declarations also make the flags of `detent serve`, `detent config …` and docs/settings.md.
Leaves: where a value comes from to reading, whether values can be meant together to fitness.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

from detent.core.family import Ahead
from detent.core.policy import DAY, HOUR, MINUTE
from detent.profiles import ProfileName

FILE_NAME: Final = "detent.toml"
PREFIX: Final = "DETENT_"
DEFAULT: Final = "default"

Registering = Literal["off", "token", "open"]
KeysIn = Literal["directory", "store"]
LogLevel = Literal["debug", "info", "warning", "error"]


class About(msgspec.Struct, frozen=True):
    """What a declaration says beside type and default; `danger` is what the setting weakens when it is used."""

    sentence: str
    unit: str = ""
    low: int = 0
    high: int = 0
    danger: str = ""
    secret: bool = False  # never shown


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The values in force. Every field is a setting, but `sources`: where each value that is no default came from."""

    issuer: Annotated[
        str, About("The URL that names this server in every token: https, with a slash at its end, never to change.")
    ] = ""
    data: Annotated[Path, About("The directory of everything that lasts: the store and the keys.")] = Path(
        ".detent", "data"
    )
    store: Annotated[
        str,
        About(
            "The PostgreSQL database that many nodes share, a libpq URI or key=value string; none: SQLite in `data`.",
            secret=True,
        ),
    ] = ""
    store_replicated: Annotated[
        bool,
        About("Whether PostgreSQL must have synchronous standbys: refuse to start where it would lose a failover."),
    ] = False
    store_connections: Annotated[
        int, About("How many connections to PostgreSQL this node opens at most.", low=1, high=1000)
    ] = 10
    keys: Annotated[
        KeysIn,
        About("Where the keys are: in `keys/` of the data `directory`, the same on every node, or in the `store`."),
    ] = "directory"
    key_encryption_key: Annotated[
        Path,
        About("The file of the key-encryption key that wraps keys in the store; `detent key new-kek` prints one."),
    ] = Path(".detent", "kek")
    host: Annotated[
        str,
        About(
            "The address to listen on.",
            danger="Outside loopback without `tls_certificate` it is plain HTTP: a proxy must end TLS before it.",
        ),
    ] = "127.0.0.1"
    tls_certificate: Annotated[
        Path | None,
        About("The PEM file of the certificate, then its chain, with which the server ends TLS itself; none: a proxy."),
    ] = None
    tls_key: Annotated[
        Path | None, About("The PEM file of the private key of `tls_certificate`, which other accounts cannot read.")
    ] = None
    port: Annotated[int, About("The port to listen on; 0 picks a free one.", low=0, high=65535)] = 9400
    profile: Annotated[
        ProfileName,
        About(
            "What is on, and the defaults of other settings: OpenID Connect (`oidc`), OAuth 2.1 alone (`oauth21`), "
            "what MCP clients ask for (`mcp`), what Auth0's SDKs expect (`auth0`); docs/profiles.md compares them."
        ),
    ] = "oidc"
    password_grant: Annotated[
        bool,
        About(
            "Whether clients that were given the grant `password` may use it.",
            danger="People type their password into the client (RFC 9700 §2.4): for migrations only.",
        ),
    ] = False
    store_behind: Annotated[
        Ahead,
        About(
            "What a refresh token means that is newer than the store: `refuse` it, or `advance` the store to it.",
            danger="`advance` trusts handles that a restored store does not remember.",
        ),
    ] = "refuse"
    session_idle: Annotated[
        int,
        About("How long a sign-in that is not used lasts, in the browser.", "seconds", MINUTE, 400 * DAY),
    ] = 3 * DAY
    session_absolute: Annotated[
        int,
        About("How long a sign-in lasts at most; 400 days is what browsers keep.", "seconds", MINUTE, 400 * DAY),
    ] = 14 * DAY
    sign_in_failures: Annotated[
        int,
        About("How many wrong passwords one address may try for one account in 15 minutes.", low=1, high=1000),
    ] = 10
    sign_up: Annotated[
        bool,
        About(
            "Whether people may make an account for themselves, at `/sign-up`.",
            danger="Anybody who reaches the server can make accounts, and says of themselves what name and email they "
            "have: an app that takes people by their email must ask for `email_verified`, which is false then.",
        ),
    ] = False
    proxies: Annotated[
        int,
        About(
            "How many proxies of yours stand before the server, each adding to `X-Forwarded-For`.",
            low=0,
            high=10,
            danger="One too many, and anybody can pass for any address; one too few, and all people share one.",
        ),
    ] = 0
    status_lists: Annotated[
        bool,
        About("Whether access tokens name a published list by which an API that verifies alone sees what has ended."),
    ] = True
    status_list_ttl: Annotated[
        int,
        About(
            "How long an API that asks status lists may go on believing a token of what has ended.",
            "seconds",
            1,
            HOUR,
        ),
    ] = MINUTE
    request_uri: Annotated[
        bool,
        About(
            "Whether authorization requests may be fetched from addresses that clients registered (RFC 9101 §5.2).",
            danger="Whoever can register a client makes this server fetch what it names; push requests instead.",
        ),
    ] = False
    registration: Annotated[
        Registering,
        About(
            "Who may register clients over HTTP: nobody, holders of a `detent registration-token`, or anybody.",
            danger="`open` lets anybody put an app before your people, under whatever name it likes.",
        ),
    ] = "off"
    client_id_metadata_documents: Annotated[
        bool,
        About(
            "Whether a client_id may be an https URL where an app says of itself who it is, as MCP clients do.",
            danger="Anybody with a web page can put an app before your people; its host is shown to them.",
        ),
    ] = False
    registration_scopes: Annotated[
        str, About("The scopes of APIs that clients which register themselves may ask for, with blanks between.")
    ] = ""
    registration_pkce: Annotated[
        bool,
        About("Whether clients that register themselves with a secret or keys must use PKCE; else a nonce will do."),
    ] = True
    registration_nonce: Annotated[
        bool,
        About(
            "Whether a client that registers itself and may do without PKCE must send a nonce in its place.",
            danger="With neither, a stolen code can be put into somebody else's session (RFC 9700 §2.1.1).",
        ),
    ] = True
    software_statements: Annotated[
        str,
        About("Whose software statements count: ISSUER=JWKS_URL pairs with blanks between (RFC 7591 §2.3)."),
    ] = ""
    outbound_allow: Annotated[
        str,
        About(
            "Networks that this server may reach although they are not public, as CIDR with commas between.",
            danger="Whoever can name a webhook or a client makes this server knock at any address in them.",
        ),
    ] = ""
    extra_ca: Annotated[
        Path | None,
        About(
            "The PEM file of authorities that are trusted beside the system's, in requests that this server makes.",
            danger="Whoever holds their keys can pass for any host that it asks: a jwks_uri, a webhook, an app's page.",
        ),
    ] = None
    operator_address: Annotated[
        str,
        About(
            "Where operators read `/metrics`, `/health` with reasons and `/live`, as address:port; none: nowhere.",
            danger="Whoever reaches it sees how much goes on here and what is wrong; it is plain HTTP and asks nobody.",
        ),
    ] = ""
    node_name: Annotated[str, About("What this node is called in health and metrics; none: the name of its host.")] = ""
    shutdown_delay: Annotated[
        int,
        About(
            "How long `detent serve` still takes requests after SIGTERM while `/health` is 503 already.",
            "seconds",
            0,
            5 * MINUTE,
        ),
    ] = 2
    log_level: Annotated[LogLevel, About("The least level that is logged.")] = "info"
    sources: Mapping[str, str] = MappingProxyType({})

    def source(self, name: str) -> str:
        """Where the value came from: `--port`, `DETENT_PORT`, `detent.toml line 7`, `profile mcp`, or `default`."""
        return self.sources.get(name, DEFAULT)


class Setting(msgspec.Struct, frozen=True):
    """A declaration, taken apart."""

    name: str
    type: Any
    default: Any
    about: About

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if get_origin(self.type) is Literal:
            return "one of " + ", ".join(get_args(self.type))
        if self.type is bool:
            return "true or false"
        if self.type is int:
            unit = f" of {self.about.unit}" if self.about.unit else ""
            return f"a whole number{unit} from {self.about.low} to {self.about.high}"
        return "a path" if self.is_path else "text"

    @property
    def is_path(self) -> bool:
        return self.type in (Path, Path | None)


def _declared() -> Iterator[Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        if get_origin(hints[field.name]) is Annotated:
            kind, about = get_args(hints[field.name])
            yield Setting(field.name, kind, field.default, about)


DECLARED: Final[Mapping[str, Setting]] = MappingProxyType({setting.name: setting for setting in _declared()})


class Problem(msgspec.Struct, frozen=True):
    """Why the server does not start: which setting, where it was set, and what to do."""

    name: str
    source: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source}): {self.sentence}" if self.name else f"{self.source}: {self.sentence}"


class SettingsError(Exception):
    """Settings that cannot be used; `problems` names each of them with its place."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
