"""The modules of the suite's plan oidcc-backchannel-rp-initiated-logout-certification, each as one test of its name."""

from collections.abc import Iterator

import msgspec
import pytest

from detent.core.changes import ReplaceClient
from tests.conformance.relying_party import RelyingParty
from tests.logging_out import LogoutReceiver, claims_of, deliver
from tests.serving import RETURN_URI, Detent

STATE = "a-state-to-return"


@pytest.fixture
def party(provider: Detent) -> Iterator[RelyingParty]:
    with RelyingParty(provider) as party:
        yield party


@pytest.fixture
def receiver(provider: Detent, party: RelyingParty) -> Iterator[LogoutReceiver]:
    """The relying party's endpoint; registered as the suite's clients have it, with `sid` required."""
    receiver = LogoutReceiver()
    provider.thread.serve(receiver, receiver.at)
    before = provider.thread.call(provider.store.client(party.name))
    wanted = {"backchannel_logout_uri": receiver.url, "backchannel_logout_session_required": True}
    provider.apply(
        ReplaceClient(msgspec.structs.replace(before, extra=before.extra | wanted, version=before.version + 1))
    )
    yield receiver
    now = provider.thread.call(provider.store.client(party.name))
    provider.apply(ReplaceClient(msgspec.structs.replace(before, version=now.version + 1)))


def test_oidcc_backchannel_logout_discovery_endpoint_verification(party: RelyingParty) -> None:
    assert party.told["backchannel_logout_supported"] is True
    assert party.told["backchannel_logout_session_supported"] is True
    assert party.told["end_session_endpoint"].startswith(party.told["issuer"])


def test_oidcc_backchannel_rp_initiated_logout(provider: Detent, party: RelyingParty, receiver: LogoutReceiver) -> None:
    tokens = party.tokens()
    leaving = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": RETURN_URI, "state": STATE}
    page = party.browser.open(party.told["end_session_endpoint"], params=leaving)
    assert page.location == f"{RETURN_URI}?state={STATE}", "the state, and nothing else"
    deliver(provider)
    claims, known = claims_of(provider, receiver.one(), party.name), party.id_token(tokens)
    assert (claims["sub"], claims["sid"]) == (known["sub"], known["sid"])
    assert party.answer(party.ask(prompt="none"))["error"] == "login_required"
