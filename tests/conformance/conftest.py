from collections.abc import Iterator
from pathlib import Path

import pytest

from detent.demo.cast import USERS
from tests.conformance.relying_party import RelyingParty, register
from tests.fixtures import keys_folder
from tests.serving import Detent, running

__all__ = ["keys_folder", "party", "provider"]


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """With the suite's clients, and a person of whom everything is known."""
    with running(tmp_path_factory.mktemp("conformance"), keys_folder, "memory") as served:
        register(served)
        served.thread.call(served.house.people.set_claims(served.user("test").subject, USERS["test"]))
        yield served


@pytest.fixture(params=[None, "form_post"], ids=["basic", "formpost-basic"])
def party(provider: Detent, request: pytest.FixtureRequest) -> Iterator[RelyingParty]:
    """In a browser in which nobody has signed in."""
    with RelyingParty(provider, response_mode=request.param) as party:
        yield party
