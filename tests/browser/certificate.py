"""TLS for the servers of a run: a certificate for `localhost` and 127.0.0.1, from an authority made for this run."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate


@dataclass(frozen=True)
class Certificate:
    path: Path  # PEM: key and chain
    pin: str  # by which Chromium knows it: base64 of the SHA-256 of its public key


@contextmanager
def trusted_certificate(folder: Path) -> Iterator[Certificate]:
    """Python's TLS trusts it until the block ends."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    path, trusted = folder / "certificate.pem", folder / "authority.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    authority.cert_pem.write_to_path(trusted)
    key = load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).public_key()
    digest = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(trusted))
        yield Certificate(path, base64.b64encode(digest).decode())
