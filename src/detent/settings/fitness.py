"""Whether settings can be meant together, and what those say that hold more than one value.

Leaves: whether the data directory holds seeds to cli/.
"""

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from detent.core.client import LOOPBACK_HOSTS
from detent.profiles import PROFILES
from detent.settings.declared import Problem, Settings, SettingsError


def production_problems(settings: Settings) -> list[Problem]:
    """Why a server with these settings must not start; of the machine it reads the data directory's mode alone."""
    faults = {
        "issuer": _issuer_fault(settings.issuer),
        "host": _host_fault(settings),
        **_tls_faults(settings),
        **_profile_faults(settings),
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
        "profile": f"development mode has the password grant, which {settings.profile} refuses. {without}"
        if "password_grant" in PROFILES[settings.profile].fixed
        else "",
        **{
            name: f"development mode makes its own certificate: `detent up --https`. {without}"
            for name in ("tls_certificate", "tls_key")
            if getattr(settings, name)
        },
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


def _tls_faults(settings: Settings) -> dict[str, str]:
    """What of TLS can be told without reading the files."""
    certificate, key = bool(settings.tls_certificate), bool(settings.tls_key)
    if certificate and settings.issuer.startswith("http://"):
        return {"tls_certificate": "the server would speak https alone, but the issuer is http. Make it https."}
    return {
        "tls_certificate": "missing: tls_key is the key of which certificate?" if key and not certificate else "",
        "tls_key": "missing: a certificate is nothing without its key." if certificate and not key else "",
    }


def _profile_faults(settings: Settings) -> dict[str, str]:
    """What is set to something else than the profile has it."""
    told = f"the profile is {settings.profile} ({settings.source('profile')}). Drop one."
    fixed = PROFILES[settings.profile].fixed
    return {
        name: f"{each.because}, and {told}" for name, each in fixed.items() if getattr(settings, name) != each.value
    }


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
