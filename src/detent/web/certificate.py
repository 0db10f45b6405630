"""The certificate that this server shows: read from two PEM files, checked before it is used, and exchanged while
connections go on.

Source: RFC 8446, RFC 9325 (TLS 1.2 with forward secrecy and AEAD alone, 1.3 as it is). Rule: a certificate that cannot
be used never replaces one that is. Leaves: when to look for a new one, and what an operator is told, to cli/.
"""

import ipaddress
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2
MOST_BYTES: Final = 1 << 20
_WORLD: Final = 0o007

Stamp = tuple[tuple[int, int], ...]


class CertificateError(Exception):
    """Why it cannot be used: a sentence, with what to do. `of_key`: what is wrong is the key's file."""

    def __init__(self, sentence: str, *, of_key: bool = False) -> None:
        super().__init__(sentence)
        self.of_key = of_key


class Shown(msgspec.Struct, frozen=True):
    """What a certificate says: for which hosts it is good, and until when."""

    names: frozenset[str]
    addresses: frozenset[str]
    until: datetime

    def covers(self, host: str) -> bool:
        """RFC 9525 §6.3: the name itself, or one label in place of a `*`; addresses only as addresses."""
        try:
            return str(ipaddress.ip_address(host)) in self.addresses
        except ValueError:
            name = host.lower().rstrip(".")
            return name in self.names or f"*.{name.partition('.')[2]}" in self.names


class ServerCertificate:
    """`context` is what listens; whatever it shows is looked up at each handshake. Raises CertificateError."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = certificate
        self.key = key
        self._stamp = self._stamped()
        self.shown, self._current = _read(certificate, key)
        self.context = _context(certificate, key)
        # Called at every handshake, with or without a name: a new certificate is for new connections alone.
        self.context.sni_callback = self._choose

    def look(self) -> bool:
        """Take up the files if they are others now; whether they were. Raises CertificateError, and keeps what it has.

        What cannot be used is told once, and looked at again when it changes.
        """
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.shown, self._current = _read(self.certificate, self.key)
        return True

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _stamped(self) -> Stamp:
        return tuple(_stamp(path) for path in (self.certificate, self.key))


def _stamp(path: Path) -> tuple[int, int]:
    """Another one after any change, through a link too; zeroes for what is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def read_certificate(certificate: Path, key: Path) -> Shown:
    """What the certificate says, if it can be served now. Raises CertificateError."""
    return _read(certificate, key)[0]


def _read(certificate: Path, key: Path) -> tuple[Shown, ssl.SSLContext]:
    """Raises CertificateError."""
    try:
        first = x509.load_pem_x509_certificates(_content(certificate))[0]
    except ValueError:
        raise CertificateError(f"{certificate} holds no certificate in PEM; the server's own comes first.") from None
    content = _content(key, of_key=True)
    if key.stat().st_mode & _WORLD:
        raise CertificateError(f"{key} is open to every account. Run: chmod 600 {key}", of_key=True)
    try:
        public = load_pem_private_key(content, None).public_key()
    except TypeError:
        raise CertificateError(f"{key} is locked with a password; take that off it.", of_key=True) from None
    except ValueError:
        raise CertificateError(f"{key} holds no private key in PEM.", of_key=True) from None
    if public != first.public_key():
        raise CertificateError(f"{key} is not the key of {certificate}; both must be of one issue.", of_key=True)
    shown, now = _shown(first), datetime.now(UTC)
    if now >= shown.until:
        raise CertificateError(f"{certificate} expired at {shown.until:%Y-%m-%d %H:%M} UTC. Renew it.")
    if now < first.not_valid_before_utc:
        begins = f"{first.not_valid_before_utc:%Y-%m-%d %H:%M}"
        raise CertificateError(f"{certificate} is not valid before {begins} UTC. Is the clock right?")
    return shown, _context(certificate, key)


def _shown(certificate: x509.Certificate) -> Shown:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Shown(frozenset(), frozenset(), certificate.not_valid_after_utc)
    return Shown(
        frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName)),
        frozenset(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        certificate.not_valid_after_utc,
    )


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, "")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise CertificateError(f"{certificate} and {key} cannot be served ({reason}).") from None
    return context


def _content(path: Path, *, of_key: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise CertificateError(f"{path} cannot be read ({error.strerror}).", of_key=of_key) from None
