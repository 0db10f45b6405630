from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from detent.demo.cast import USERS
from detent.web.outbound import LOOPBACK, Outbound
from tests.conformance.modules import VARIANTS, Variant
from tests.conformance.relying_party import RelyingParty, party_of, register, registered
from tests.fixtures import keys_folder
from tests.published import Published
from tests.serving import Detent, running

__all__ = ["keys_folder", "newcomer", "party", "provider", "published"]

SETTINGS: dict[str, Any] = {
    "registering": "token",
    "registration_pkce": False,
    "registration_nonce": False,
    "request_uri": True,
}


def named(variant: Variant) -> str:
    return "-".join(filter(None, (variant.registration, variant.auth.removeprefix("client_"), variant.response_mode)))


def each_of(variants: tuple[Variant, ...]) -> list[Any]:
    """As parameters; the first also within a minute."""
    return [
        pytest.param(each, id=named(each), marks=() if each == variants[0] else pytest.mark.slow) for each in variants
    ]


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """With the suite's clients, and a person of whom everything is known."""
    folder = tmp_path_factory.mktemp("conformance")
    with running(folder, keys_folder, "memory", outbound=Outbound(LOOPBACK), **SETTINGS) as served:
        register(served)
        served.thread.call(served.house.people.set_claims(served.user("test").subject, USERS["test"]))
        yield served


@pytest.fixture(params=each_of(VARIANTS))
def party(provider: Detent, request: pytest.FixtureRequest) -> Iterator[RelyingParty]:
    """Of each kind that a plan asks for, in a browser in which nobody has signed in."""
    with party_of(provider, request.param) as party:
        yield party


@pytest.fixture(params=each_of(tuple(each for each in VARIANTS if each.registration == "dynamic")))
def newcomer(provider: Detent, request: pytest.FixtureRequest) -> Iterator[Callable[..., RelyingParty]]:
    """Registers a client with this metadata."""
    made: list[RelyingParty] = []

    def register(**metadata: Any) -> RelyingParty:
        made.append(registered(provider, request.param, **metadata))
        return made[-1]

    yield register
    for each in made:
        each.browser.http.close()


@pytest.fixture
def published(provider: Detent) -> Published:
    """A document at the relying party."""
    document = Published()
    provider.thread.serve(document, document.at)
    return document
