"""Every setting, declared once: name, type, default, unit, one sentence, and what it weakens, if it does.

A value comes from a flag, else from a `DETENT_*` variable, else from the TOML file, else it is the default, and it
remembers which. The declarations also make the flags of `detent serve`, `detent config …` and docs/settings.md.
Leaves: what a setting does, to whoever reads it; whether the data directory holds seeds, to cli/.
Rule: what is not declared here, or cannot be meant, stops the start and is named with its line.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec

from detent.core.client import LOOPBACK_HOSTS
from detent.core.family import Ahead
from detent.core.policy import DAY, HOUR, MINUTE

FILE_NAME: Final = "detent.toml"
PREFIX: Final = "DETENT_"
DEFAULT: Final = "default"

Profile = Literal["oidc", "oauth21"]
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
            danger="Outside loopback the server is plain HTTP: a proxy that ends TLS must stand before it.",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, About("The port to listen on; 0 picks a free one.", low=0, high=65535)] = 9400
    profile: Annotated[
        Profile, About("What is on: `oidc` is OAuth 2.1 with OpenID Connect, `oauth21` refuses what OAuth 2.1 dropped.")
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
        """Where the value came from: `--port`, `DETENT_PORT`, `detent.toml line 7`, or `default`."""
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
        return "a path" if self.type is Path else "text"


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


class _Given(msgspec.Struct, frozen=True):
    """A value as it was given: text from a flag or a variable, of its own type from a file."""

    value: Any
    source: str
    is_text: bool = True


def load(flags: Mapping[str, str], environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """The settings in force. Raises SettingsError with all that is wrong.

    `config` is the TOML file; without one it is `detent.toml` in the data directory, if that is there.
    """
    problems: list[Problem] = []
    given = _from_environment(environment, problems)
    given |= {name: _Given(text, DECLARED[name].flag) for name, text in flags.items()}
    values = _read_all(given, problems)
    in_file = _from_file(config, values.get("data", DECLARED["data"].default), problems)
    in_file = {name: each for name, each in in_file.items() if name not in given}
    values |= _read_all(in_file, problems)
    if problems:
        raise SettingsError(*problems)
    sources = {name: each.source for name, each in (in_file | given).items()}
    return Settings(**values, sources=MappingProxyType(sources))


def _from_environment(environment: Mapping[str, str], problems: list[Problem]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    by_variable = {setting.variable: name for name, setting in DECLARED.items()}
    for variable, text in sorted(environment.items()):
        if variable in by_variable:
            given[by_variable[variable]] = _Given(text, variable)
        elif variable.startswith(PREFIX):
            problems.append(_unknown(variable, variable, list(by_variable)))
    return given


def _from_file(config: Path | None, data: Path, problems: list[Problem]) -> dict[str, _Given]:
    path = config or data / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError:
        if config:
            problems.append(Problem("", str(path), "there is no such file; `detent config init` prints one."))
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(Problem("", str(path), f"cannot be read as TOML: {error}."))
        return {}
    lines = _lines(text)
    given: dict[str, _Given] = {}
    for name, value in table.items():
        source = f"{path} line {lines[name]}"
        if name not in DECLARED:
            problems.append(_unknown(name, source, list(DECLARED)))
        elif name == "data" and not config:
            problems.append(Problem(name, source, "a file in the data directory cannot say where that is. Remove it."))
        elif DECLARED[name].type is Path and isinstance(value, str):
            given[name] = _Given(path.parent / value, source, is_text=False)
        else:
            given[name] = _Given(value, source, is_text=False)
    return given


def _lines(text: str) -> dict[str, int]:
    """On which line each key stands: the first one where the text so far is TOML that has it."""
    found: dict[str, int] = {}
    lines = text.splitlines(keepends=True)
    for number in range(1, len(lines) + 1):
        try:
            keys = tomllib.loads("".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value of several lines
        for key in keys:
            found.setdefault(key, number)
    return found


def _unknown(name: str, source: str, known: list[str]) -> Problem:
    close = difflib.get_close_matches(name, known, n=1)
    advice = f"Did you mean {close[0]}?" if close else "Remove it; `detent config explain` lists what there is."
    return Problem("", source, f"there is no setting {name}. {advice}")


def _read_all(given: Mapping[str, _Given], problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, each in given.items():
        setting = DECLARED[name]
        value = _from_text(setting, each.value) if each.is_text else each.value
        if _fits(setting, value):
            values[name] = value
        else:
            shown = str(each.value)[:100]
            problems.append(Problem(name, each.source, f"must be {setting.expected}, not {shown!r}."))
    return values


def _from_text(setting: Setting, text: str) -> Any:
    """The text in the type of the setting, or as it is where it has no such meaning."""
    if setting.type is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if setting.type is int and text.isascii() and text.isdecimal():
        return int(text[:20])
    return Path(text) if setting.type is Path and text else text


def _fits(setting: Setting, value: Any) -> bool:
    if get_origin(setting.type) is Literal:
        return value in get_args(setting.type)
    in_type = isinstance(value, setting.type) and (setting.type is bool or not isinstance(value, bool))
    return in_type and (setting.type is not int or setting.about.low <= value <= setting.about.high)


def production_problems(settings: Settings) -> list[Problem]:
    """Why a server with these settings must not start; of the machine it reads the data directory's mode alone."""
    faults = {
        "issuer": _issuer_fault(settings.issuer),
        "host": _host_fault(settings),
        "password_grant": _password_grant_fault(settings),
        "session_idle": _session_fault(settings),
        "outbound_allow": _networks_fault(settings.outbound_allow),
        "software_statements": _statements_fault(settings.software_statements),
        "operator_address": _address_fault(settings.operator_address),
        "data": _data_fault(settings.data),
    }
    return [Problem(name, settings.source(name), fault) for name, fault in faults.items() if fault]


def development_problems(settings: Settings) -> list[Problem]:
    """Why development mode must not start: what it decides by itself was set to something else."""
    without = "Remove it, or use `detent serve`."
    faults = {
        "issuer": f"development mode makes its own issuer. {without}" if settings.issuer else "",
        "host": ""
        if settings.host in LOOPBACK_HOSTS
        else f"development mode is for this machine alone, and {settings.host!r} is not loopback. {without}",
        "profile": f"development mode has the password grant, which oauth21 refuses. {without}"
        if settings.profile == "oauth21"
        else "",
        "session_idle": _session_fault(settings),
        "outbound_allow": _networks_fault(settings.outbound_allow),
        "software_statements": _statements_fault(settings.software_statements),
    }
    return [Problem(name, settings.source(name), fault) for name, fault in faults.items() if fault]


def outbound_networks(settings: Settings) -> list[IPv4Network | IPv6Network]:
    """Raises SettingsError."""
    if fault := _networks_fault(settings.outbound_allow):
        raise SettingsError(Problem("outbound_allow", settings.source("outbound_allow"), fault))
    return _networks(settings.outbound_allow)


def software_statement_issuers(settings: Settings) -> dict[str, str]:
    """Where the keys of each are. Raises SettingsError."""
    if fault := _statements_fault(settings.software_statements):
        raise SettingsError(Problem("software_statements", settings.source("software_statements"), fault))
    return dict(_pairs(settings.software_statements))


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(issuer, url) for issuer, _, url in (each.partition("=") for each in text.split())]


def _statements_fault(text: str) -> str:
    wrong = [issuer for issuer, url in _pairs(text) if not issuer or not url.startswith("https://")]
    return (
        f"{wrong[0][:100]!r} has no https URL behind its =. Write ISSUER=https://issuer.example/jwks." if wrong else ""
    )


def operator_place(settings: Settings) -> tuple[str, int] | None:
    """Host and port, once the settings are fit for production."""
    parts = urlsplit(f"//{settings.operator_address}")
    return (parts.hostname, parts.port) if parts.hostname and parts.port is not None else None


def _address_fault(text: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        fits = parts.hostname and parts.port is not None and parts.netloc == text and "@" not in text
    except ValueError:
        fits = False
    return "" if fits or not text else f"{text[:100]!r} is not an address and a port, such as 127.0.0.1:9401."


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(each.strip()) for each in text.split(",") if each.strip()]


def _networks_fault(text: str) -> str:
    try:
        _networks(text)
    except ValueError as error:
        return f"{error}. Write networks as 10.1.0.0/16,fd00::/8."
    return ""


def _issuer_fault(issuer: str) -> str:
    """RFC 8414 §2 and mission B19; the slash is what the common SDKs expect."""
    if not issuer:
        return "missing. Say in detent.toml, DETENT_ISSUER or --issuer under which URL clients reach this server."
    try:
        parts = urlsplit(issuer)
        port = parts.port
    except ValueError:
        return f"{issuer[:100]!r} is not a URL."
    plain = issuer.isascii() and issuer.isprintable() and " " not in issuer
    if parts.scheme not in ("https", "http") or not parts.hostname or not plain:
        return f"{issuer[:100]!r} is not an https URL."
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        return f"{issuer!r} must be https: tokens would travel readable. http is for loopback only."
    if "?" in issuer or "#" in issuer or "@" in parts.netloc:
        return f"{issuer!r} must not have a query, a fragment or a user."
    if not issuer.endswith("/"):
        return f"{issuer!r} must end with a slash: {issuer + '/'!r}."
    if port == {"https": 443, "http": 80}[parts.scheme]:
        return f"{issuer!r} names the default port, which clients leave out of Host. Leave it out too."
    return ""


def _host_fault(settings: Settings) -> str:
    if settings.host in LOOPBACK_HOSTS or not settings.issuer.startswith("http://"):
        return ""
    return f"{settings.host!r} is reachable from outside, but the issuer is http. Listen on 127.0.0.1, or use https."


def _password_grant_fault(settings: Settings) -> str:
    if settings.password_grant and settings.profile == "oauth21":
        return f"OAuth 2.1 has no password grant, and the profile is oauth21 ({settings.source('profile')}). Drop one."
    return ""


def _session_fault(settings: Settings) -> str:
    if settings.session_idle <= settings.session_absolute:
        return ""
    return (
        f"{settings.session_idle} s is longer than a session lasts at most: session_absolute "
        f"({settings.source('session_absolute')}) is {settings.session_absolute} s. Lower one or raise the other."
    )


def _data_fault(data: Path) -> str:
    """A directory that is not there yet is made with the right mode."""
    if os.name != "posix" or not data.exists():
        return ""
    if not data.is_dir():
        return f"{data} is not a directory."
    mode = data.stat().st_mode & 0o777
    if mode & 0o077:
        return f"{data} is open to other accounts (mode {mode:03o}). Run: chmod 700 {data}"
    return ""
