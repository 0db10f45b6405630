"""What went wrong, told to people: a code, a sentence, what to do next; and the locks of pages of every kind."""

from urllib.parse import urljoin

import pytest

from tests.attacks.test_r_authorize import assert_page
from tests.browsing import Browser, Page
from tests.serving import RETURN_URI, Detent

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    "path", ["/nothing", "/no/such/thing", "/oidc/logout?post_logout_redirect_uri=https://x.example/"]
)
def test_an_error_looks_like_a_page_wherever_it_happens(standing: Detent, path: str) -> None:
    with Browser(standing) as browser:
        page = browser.open(path)
        assert page.error in ("not_found", "invalid_request")
        for link in ('rel="stylesheet" href="', 'rel="icon" href="'):
            target = page.text.partition(link)[2].partition('"')[0]
            assert browser.http.get(urljoin(page.url, target)).status_code == 200, target


def test_it_says_what_to_do_next_and_under_which_id_to_ask(standing: Detent) -> None:
    with Browser(standing) as browser:
        page = browser.authorize("nobody")
        assert_page(page)
        assert "<title>Error: That did not work</title>" in page.text
        assert "Go back to the app and start again." in page.text
        missing = browser.open("/nothing")
        assert (missing.status, missing.error) == (404, "not_found")
        assert urljoin(missing.url, "account") == standing.issuer + "account"
        assert '<a href="account">My account</a>' in missing.text
        forged = browser.press(browser.authorize(), "login", csrf=None)
        assert (forged.status, forged.error) == (403, "invalid_request")
        assert "<h1>That did not come from here</h1>" in forged.text


def test_nothing_that_was_sent_comes_back(standing: Detent) -> None:
    with Browser(standing) as browser:
        for page in (
            browser.open("/echoed-back"),
            browser.authorize("echoed-back"),
            browser.authorize(redirect_uri="https://evil.example/echoed-back"),
            browser.open("/login?interaction=echoed-back"),
            browser.open("/oidc/logout?post_logout_redirect_uri=https://evil.example/echoed-back"),
        ):
            assert page.error
            assert "echoed-back" not in page.text


def test_a_client_reads_json_where_a_person_reads_a_page(standing: Detent) -> None:
    html = {"accept": "text/html"}
    assert standing.http.post("/oauth/token", headers=html).json()["error"] == "invalid_request"
    assert standing.http.get("/nothing").json()["error"] == "not_found"
    assert Page(standing.http.get("/nothing", headers=html)).error == "not_found"


def test_a_page_on_the_way_back_to_an_app_may_stand_in_its_popup_and_no_other(standing: Detent) -> None:
    """Cross-Origin-Opener-Policy would cut a popup off from the app that waits for it."""

    def alone(page: Page) -> bool:
        assert page.status in (200, 400)
        return ("cross-origin-opener-policy", "same-origin") in page.response.headers.items()

    with Browser(standing) as browser:
        login = browser.authorize("app", prompt="consent")
        consent = browser.log_in(login)
        posted = browser.authorize("spa", prompt="none", response_mode="form_post")
        logout = browser.open("/oidc/logout", params={"client_id": "spa", "post_logout_redirect_uri": RETURN_URI})
        assert [alone(page) for page in (login, consent, posted, logout)] == [False] * 4
        account, error = browser.open("/account"), browser.authorize("nobody")
        signed_out = browser.press(browser.open("/logout"), "logout-confirm")
        assert [alone(page) for page in (account, error, signed_out, browser.open("/login"))] == [True] * 4


@pytest.mark.parametrize("name", ["detent.css", "detent.svg", "form_post.js", "web_message.js"])
def test_what_pages_refer_to_may_be_kept_and_is_what_it_says(standing: Detent, name: str) -> None:
    answer = standing.http.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert name.rpartition(".")[2] in answer.headers["content-type"].replace("javascript", "js")
