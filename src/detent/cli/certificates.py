"""The certificate files that the settings name: whether they can be served, and taking up new ones while it serves.

Reading certificates is web/certificate.py, making them for development authority.py.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from detent.settings.declared import Problem, Settings, SettingsError

if TYPE_CHECKING:
    import ssl

    from detent.web.certificate import ServerCertificate

log = logging.getLogger("detent.serving")

LOOK_EVERY: Final = 10
NEAR: Final = timedelta(days=14)


def certificate_problems(settings: Settings) -> list[Problem]:
    """What keeps the files from being used: an own certificate and its key, authorities for requests outwards."""
    return [
        Problem(name, settings.source(name), fault)
        for name, fault in (_served_fault(settings), _authorities_fault(settings))
        if fault
    ]


def _served_fault(settings: Settings) -> tuple[str, str]:
    """The setting and what is wrong with it."""
    from detent.web.certificate import CertificateError, read_certificate

    if not settings.tls_certificate or not settings.tls_key:
        return "", ""  # one without the other is told by settings/fitness
    try:
        shown = read_certificate(settings.tls_certificate, settings.tls_key)
    except CertificateError as error:
        return "tls_key" if error.of_key else "tls_certificate", str(error)
    host = urlsplit(settings.issuer).hostname or ""
    if not settings.proxies and not shown.covers(host):
        good_for = ", ".join(sorted(shown.names | shown.addresses)) or "no host at all"
        return "tls_certificate", f"{settings.tls_certificate} is not for {host}, the host of the issuer: {good_for}."
    return "", ""


def _authorities_fault(settings: Settings) -> tuple[str, str]:
    if not settings.extra_ca:
        return "", ""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        load_pem_x509_certificates(settings.extra_ca.read_bytes())
    except OSError as error:
        return "extra_ca", f"{settings.extra_ca} cannot be read ({error.strerror})."
    except ValueError:
        return "extra_ca", f"{settings.extra_ca} holds no certificate in PEM."
    return "", ""


def server_certificate(settings: Settings) -> "ServerCertificate | None":
    """What the settings name; None for plain HTTP. Raises SettingsError."""
    if not settings.tls_certificate or not settings.tls_key:
        return None
    from detent.web.certificate import CertificateError, ServerCertificate

    try:
        return ServerCertificate(settings.tls_certificate, settings.tls_key)
    except CertificateError as error:
        name = "tls_key" if error.of_key else "tls_certificate"
        raise SettingsError(Problem(name, settings.source(name), str(error))) from None


def near_its_end(settings: Settings) -> str:
    """What to do about a certificate that will soon be none."""
    certificate = server_certificate(settings)
    if certificate is None or certificate.shown.until - datetime.now(UTC) > NEAR:
        return ""
    return (
        f"{settings.tls_certificate} expires at {certificate.shown.until:%Y-%m-%d %H:%M} UTC. Put the next one in its "
        "place; the server takes it up by itself."
    )


class Local(msgspec.Struct, frozen=True):
    """What development mode speaks https with; `trust` is for its own clients, `authority` a file for everybody's."""

    data: Path
    certificate: "ServerCertificate"
    authority: Path
    trust: "ssl.SSLContext"

    def renew(self) -> None:
        """Write the next certificate once this one is near its end; `kept_current` takes it up."""
        from detent.cli.authority import NEAR, local_certificate

        if self.certificate.shown.until - datetime.now(UTC) < NEAR:
            local_certificate(self.data)


def local(data: Path) -> Local:
    """Made in this data directory, if it is not there. Raises KeysError where others can read it."""
    import ssl

    from detent.cli.authority import local_certificate
    from detent.web.certificate import ServerCertificate

    files = local_certificate(data)
    trust = ssl.create_default_context()
    trust.load_verify_locations(files.authority)
    return Local(data, ServerCertificate(files.certificate, files.key), files.authority, trust)


@asynccontextmanager
async def kept_current(
    certificate: "ServerCertificate | None", renew: Callable[[], object] = lambda: None
) -> AsyncIterator[None]:
    """Until the block ends, look at the files again and again, and at SIGHUP; `renew` may write them before."""
    if certificate is None:
        yield
        return
    loop = asyncio.get_running_loop()
    watching = loop.create_task(_watch(certificate, renew))
    loop.add_signal_handler(signal.SIGHUP, _look, certificate)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(certificate: "ServerCertificate", renew: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY)
        renew()
        _look(certificate)


def _look(certificate: "ServerCertificate") -> None:
    from detent.web.certificate import CertificateError

    try:
        if certificate.look():
            log.info("a new certificate is shown from now on; it is good until %s", certificate.shown.until)
    except CertificateError as error:
        log.error("the new certificate is not taken up, the old one is shown on: %s", error)
