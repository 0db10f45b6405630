"""Https for development mode: an authority of this data directory, and a certificate of it for this machine's names.

Source: RFC 5280 §4.2.1.9, §4.2.1.10 (basic and name constraints). The authority is made once; whoever trusts it trusts
it for `localhost` and the loopback addresses alone, so that its stolen key passes for no other host. The certificate is
made anew when it is near its end, or its authority is another one.
"""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from detent.keys.directory import PrivateDirectory

FOLDER: Final = "tls"
AUTHORITY, AUTHORITY_KEY = "authority.pem", "authority.key"
CERTIFICATE, KEY = "localhost.pem", "localhost.key"
AUTHORITY_LIFE: Final = timedelta(days=3650)
LIFE: Final = timedelta(days=90)
NEAR: Final = timedelta(days=30)
_LAX: Final = timedelta(hours=1)  # by which a clock here may be behind
_ADDRESSES: Final = ("127.0.0.1", "::1")


class LocalCertificate(msgspec.Struct, frozen=True):
    """Three PEM files. `made`: the authority is new, so nobody trusts it yet."""

    certificate: Path
    key: Path
    authority: Path
    made: bool


def local_certificate(data: Path, now: datetime | None = None) -> LocalCertificate:
    """What stands in the data directory, or is made there. Raises KeysError where others can read it."""
    now = now or datetime.now(UTC)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = PrivateDirectory(data / FOLDER)
    with folder.locked():
        held = _held(folder, AUTHORITY, AUTHORITY_KEY)
        made = held is None or held[0].not_valid_after_utc - now < LIFE
        if held is None or made:
            held = _authority(now)
            _keep(folder, AUTHORITY, AUTHORITY_KEY, *held)
        leaf = _held(folder, CERTIFICATE, KEY)
        if made or leaf is None or leaf[0].not_valid_after_utc - now < NEAR:
            _keep(folder, CERTIFICATE, KEY, *_leaf(now, *held))
    return LocalCertificate(folder.path / CERTIFICATE, folder.path / KEY, (folder.path / AUTHORITY).absolute(), made)


def _authority(now: datetime) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    key = generate_private_key(SECP256R1())
    name = _name(f"detent development, {now:%Y-%m-%d %H:%M}")
    permitted = [x509.DNSName("localhost"), *(x509.IPAddress(ip_network(each)) for each in _ADDRESSES)]
    signing = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return _builder(name, name, key, now, AUTHORITY_LIFE).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    ).add_extension(
        x509.NameConstraints(permitted, None), critical=True
    ).add_extension(
        signing, critical=True
    ).add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    ).sign(key, hashes.SHA256()), key  # fmt: skip


def _leaf(
    now: datetime, authority: x509.Certificate, authority_key: EllipticCurvePrivateKey
) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    key = generate_private_key(SECP256R1())
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(each)) for each in _ADDRESSES)]
    return _builder(_name("localhost"), authority.subject, key, now, LIFE).add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    ).add_extension(
        x509.SubjectAlternativeName(names), critical=False
    ).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
    ).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
    ).sign(authority_key, hashes.SHA256()), key  # fmt: skip


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LAX)
        .not_valid_after(now + life)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _held(
    folder: PrivateDirectory, certificate: str, key: str
) -> tuple[x509.Certificate, EllipticCurvePrivateKey] | None:
    """None for what is not there, or not whole. Raises KeysError."""
    try:
        found = x509.load_pem_x509_certificate(folder.read(certificate))
        private = load_pem_private_key(folder.read(key), None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(private, EllipticCurvePrivateKey) or private.public_key() != found.public_key():
        return None
    return found, private


def _keep(
    folder: PrivateDirectory, named: str, key_named: str, certificate: x509.Certificate, key: EllipticCurvePrivateKey
) -> None:
    folder.write(key_named, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    folder.write(named, certificate.public_bytes(Encoding.PEM))


def trusting_line(authority: Path, system: str = "") -> str:
    """What makes this machine trust the authority, as one line for its shell."""
    system = system or os.uname().sysname
    if system == "Darwin":
        keychain = "/Library/Keychains/System.keychain"
        return f"sudo security add-trusted-cert -d -r trustRoot -k {keychain} '{authority}'"
    return f"sudo cp '{authority}' /usr/local/share/ca-certificates/detent.crt && sudo update-ca-certificates"
