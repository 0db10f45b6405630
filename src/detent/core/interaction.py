"""A sign-in under way: what the app asked for, what the person did so far, and so what comes next.

Source: OpenID Connect Core §3.1.2.1-§3.1.2.4, RFC 8252 §8.6. Pure: the steps are pages/, and none of them leads to
another; each hands the interaction back to endpoints/dispatch.py, which asks `next_step`. An interaction travels
sealed and is bound to one browser, so nobody can alter it or finish another's.
"""

from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from detent.core.client import Client
from detent.core.confirmation import BEARER, Confirmation
from detent.core.consent import Consent, Leave, covers
from detent.core.ids import ClientId, Instant, Seconds
from detent.core.policy import HOUR
from detent.core.scope import Scope
from detent.core.session import Session

CREATE: Final = "create"  # the value of `prompt`
INTERACTION_LIFE: Final = Seconds(12 * HOUR)  # a sign-in page left open over lunch still works

Why = Literal["signed_out", "asked", "too_long_ago", "other_person", "choose"]


class Spent(msgspec.Struct, frozen=True):
    """A record that is consumed by the answer to a request; it is there until then, or until it expires."""

    kind: str
    key: str
    until: Instant


class AuthorizationRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 6749 §4.1.1, checked. `redirect_uri` is where the answer goes; `redirect_uri_named`: the request said so.

    `cnf` is the key that the code is to be bound to, `acr` holds the classes of which one must be reached, `hinted_sub`
    is who must be signed in as the client knows them. `leave` are scopes that people are asked leave for because of
    what else is wanted; `extra` is what features read, and goes with the authorization. `spends` is what an answer with
    a code uses up.
    """

    client_id: ClientId
    redirect_uri: str
    redirect_uri_named: bool
    response_mode: str
    scope: Scope
    audience: tuple[str, ...]
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: Seconds | None = None
    login_hint: str = ""
    hinted_sub: str | None = None
    cnf: Confirmation = BEARER
    acr: tuple[str, ...] = ()
    leave: Scope = ()
    extra: dict[str, Any] = {}
    spends: Spent | None = None


class Interaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """`signed_in`, `shown` and `allowed` are a `sid`: who signed in (or chose to go on) here, who was shown the
    consent page, and who said yes to it. Without a `request` a person is on the way to a page of ours: `onward`,
    relative, or the account page.
    """

    id: bytes
    started_at: Instant
    browser: bytes
    request: AuthorizationRequest | None = None
    signed_in: str = ""
    shown: str = ""
    allowed: str = ""
    onward: str = ""


class Situation(msgspec.Struct, frozen=True):
    """What `next_step` needs to know: the live session of this browser, and what its person allowed the client.

    `sub` is that person as the client knows them.
    """

    session: Session | None
    client: Client | None = None
    consent: Consent | None = None
    asked: Leave = {}
    sub: str = ""


class SignIn(msgspec.Struct, frozen=True):
    why: Why


class SignUp(msgspec.Struct, frozen=True):
    """Initiating User Registration via OpenID Connect §4.1: make an account, whoever is signed in."""


class AskConsent(msgspec.Struct, frozen=True):
    session: Session


class Done(msgspec.Struct, frozen=True):
    session: Session


Step = SignIn | SignUp | AskConsent | Done


def next_step(interaction: Interaction, situation: Situation, now: Instant) -> Step:
    """What comes next. With `prompt=none` whatever is not `Done` is an error for the client (the caller's answer)."""
    session, request = situation.session, interaction.request
    if request and CREATE in request.prompt and (session is None or interaction.signed_in != session.sid):
        return SignUp()
    if session is None:
        return SignIn("signed_out")
    if request is None:
        return Done(session)
    if request.hinted_sub not in (None, situation.sub):
        return SignIn("other_person")
    if interaction.signed_in != session.sid and (why := _why_again(request, session, now)):
        return SignIn(why)
    return AskConsent(session) if _must_ask(interaction, request, session, situation) else Done(session)


def to_choose(interaction: Interaction) -> Interaction:
    """The same, as if the app had asked for the choice of an account and nobody had made it yet."""
    request = interaction.request
    if request:
        asked = (name for name in request.prompt if name != CREATE)
        request = replace(request, prompt=tuple(dict.fromkeys((*asked, "select_account"))))
    return replace(interaction, request=request, signed_in="", shown="")


def _why_again(request: AuthorizationRequest, session: Session, now: Instant) -> Why | None:
    """Why a live session does not do: the person is to be seen again in this interaction (OIDC §3.1.2.1)."""
    if "login" in request.prompt:
        return "asked"
    if request.max_age is not None and (request.max_age == 0 or now - session.auth_time > request.max_age):
        return "too_long_ago"
    if request.acr and session.acr not in request.acr:
        return "asked"
    return "choose" if "select_account" in request.prompt else None


def _must_ask(interaction: Interaction, request: AuthorizationRequest, session: Session, situation: Situation) -> bool:
    client = situation.client
    if client is None or interaction.allowed == session.sid:
        return False
    if "consent" in request.prompt:
        return True
    if not client.first_party and not covers(situation.consent, situation.asked):
        return True
    # RFC 8252 §8.6: whoever took an app's private scheme or loopback port gets nothing that no person saw.
    return not is_assured(client, request.redirect_uri) and interaction.signed_in != session.sid


def is_assured(client: Client, redirect_uri: str) -> bool:
    """Whether an answer to this URI can only reach the registered client (RFC 8252 §8.6)."""
    return client.kind not in ("native", "cli") or urlsplit(redirect_uri).scheme == "https"
