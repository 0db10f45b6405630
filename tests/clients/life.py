"""What every client lives through: signs in, refreshes five times, uses an old refresh token, revokes, signs out.

The person is a browser without scripts (tests/browsing.py). How a library tells its program of a refusal is looked at
by the test of that client.
"""

from typing import Any, Final

from tests.browsing import Browser
from tests.clients.example import Example
from tests.clients.program import Program, Told
from tests.mission.test_a_tokens import claims_of
from tests.serving import RETURN_URI

OVERLAP: Final = 60  # seconds, of native and web clients
TURNS: Final = 5


def lived(example: Example, program: Program) -> dict[str, Told]:
    """The refusals, by what was presented: `old`, `newest` and `revoked`."""
    with Browser(example.detent) as browser:
        chain = [_signed_in(example, program, browser)]
        chain += [good_tokens(example, program, "refreshed") for _ in range(TURNS)]
        assert len({each["refresh_token"] for each in chain}) == TURNS + 1, "each turned"
        assert {claims_of(each["id_token"])["sub"] for each in chain} == {claims_of(chain[0]["id_token"])["sub"]}

        refusals = {"old": _refused(program, "old"), "newest": _refused(program, "newest")}
        assert not any(example.active(each["access_token"]) for each in chain)

        again = _signed_in(example, program, browser)
        program.went_on("revoked")
        refusals["revoked"] = _refused(program, "revoked")
        assert not example.active(again["access_token"])
        _signed_out(example, program, browser)
    return refusals


def good_tokens(example: Example, program: Program, step: str) -> dict[str, Any]:
    """What it has, which is good; then the overlap is over, within which a new refresh token stays as it is."""
    tokens: dict[str, Any] = program.told(step)["tokens"]
    assert example.secret_area(tokens["access_token"]) == 200
    assert example.active(tokens["access_token"])
    example.detent.clock.advance(OVERLAP + 1)
    program.say()
    return tokens


def assert_told(refusals: dict[str, Told]) -> None:
    """As oauth4webapi tells, on which openid-client stands: all that the server said of each."""
    for refusal in refusals.values():
        assert (refusal["name"], refusal["code"]) == ("ResponseBodyError", "OAUTH_RESPONSE_BODY_ERROR")
        assert refusal["error"] == "invalid_grant"
        assert refusal["error_description"].startswith("Unknown or invalid refresh token")
        assert refusal["support_id"] in refusal["error_description"]


def _signed_in(example: Example, program: Program, browser: Browser) -> dict[str, Any]:
    page = browser.open(program.told("sign in")["url"])
    if page.path == "/login":
        page = browser.log_in(page)
    program.say(browser.allow(page).location)
    return good_tokens(example, program, "signed in")


def _refused(program: Program, which: str) -> Told:
    told = program.went_on("refused")
    assert told["which"] == which
    return told


def _signed_out(example: Example, program: Program, browser: Browser) -> None:
    told = program.told("sign out")
    assert browser.open(told["url"]).location.split("?")[0] == RETURN_URI
    assert browser.authorize("spa", prompt="none").answer["error"] == "login_required"
    program.say()
    program.ended()
