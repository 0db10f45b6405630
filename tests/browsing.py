"""A person with a browser, over HTTP: follows redirects on our pages, fills in forms, keeps cookies, runs no script.

What leaves for the app (its redirect URI) is not followed: it is the answer that a test looks at.
"""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from detent.core.authorization import code_challenge_s256
from tests.serving import REDIRECT_URI, VERIFIER, Detent, trust

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
STATE = "a-state"


class _Elements(HTMLParser):
    """Forms with their fields and buttons, and every element that has an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self.buttons: dict[str, tuple[int, str, str]] = {}
        self.texts: dict[str, str] = {}
        self._open: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.texts[given["id"]] = ""
        if tag == "form":
            self.forms.append({"action": given.get("action", ""), "method": given.get("method", "get"), "fields": {}})
        elif tag == "input" and self.forms and "name" in given:
            self.forms[-1]["fields"][given["name"]] = given.get("value", "")
        elif tag == "button" and self.forms:
            key = given.get("id") or given.get("name", "")
            self.buttons[key] = (len(self.forms) - 1, given.get("name", ""), given.get("value", ""))
        if tag not in ("input", "meta", "link", "br", "img", "hr"):
            self._open.append(given.get("id"))

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for each in self._open:
            if each:
                self.texts[each] += data


class Page:
    """An answer as a person sees it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.url = str(response.url)
        self.path = response.url.path
        self.text = response.text
        elements = _Elements(response.text if "html" in response.headers.get("content-type", "") else "")
        self.forms, self.buttons, self.texts = elements.forms, elements.buttons, elements.texts

    @property
    def error(self) -> str:
        return self.texts.get("error", "").strip()

    @property
    def support_id(self) -> str:
        return self.texts.get("support-id", "").strip()

    @property
    def location(self) -> str:
        """Where it leads outside of us."""
        return urljoin(self.url, self.response.headers["location"])

    @property
    def answer(self) -> dict[str, str]:
        """The parameters that the app gets in its redirect URI."""
        pairs = parse_qsl(urlsplit(self.location).query, keep_blank_values=True)
        found = dict(pairs)
        assert len(found) == len(pairs), f"a parameter came twice: {pairs}"
        return found


class Browser:
    """One browser profile at this detent."""

    def __init__(self, detent: Detent, agent: str = BROWSER) -> None:
        self.detent = detent
        headers = {"user-agent": agent, "accept": "text/html,application/xhtml+xml", **detent.host}
        self.http = httpx.Client(base_url=detent.url, timeout=120, headers=headers, verify=trust())
        if detent.host:  # told to be https, and reached by http here: its Secure cookies travel all the same
            self.http.event_hooks["request"].append(self._with_every_cookie)
        self.passed: list[httpx.Response] = []  # every answer, those that redirected too
        self.http.event_hooks["response"].append(self.passed.append)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def open(self, url: str, **more: Any) -> Page:
        """Go there, and on to wherever we send the browser on our own pages."""
        return self._settled(self.http.get(url, **more))

    def authorize(self, client: str = "spa", method: str = "GET", **parameters: Any) -> Page:
        """An authorization request as this app sends it; None leaves a parameter out."""
        request = request_of(client, **parameters)
        if method == "POST":
            return self._settled(self.http.post("/authorize", data=request))
        return self.open("/authorize", params=request)

    def press(self, page: Page, button: str, **fields: str | None) -> Page:
        """Press this button of the page with these fields filled in; None leaves one out."""
        number, name, value = page.buttons[button]
        form = page.forms[number]
        content = {**form["fields"], **({name: value} if name else {}), **fields}
        content = {name: value for name, value in content.items() if value is not None}
        headers = {"origin": self.detent.issuer.rstrip("/"), "sec-fetch-site": "same-origin"}
        return self._settled(self.http.post(urljoin(page.url, form["action"]), data=content, headers=headers))

    def log_in(self, page: Page, username: str = "test", password: str = "test") -> Page:
        return self.press(page, "login", username=username, password=password)

    def allow(self, page: Page) -> Page:
        """Press on until the app has its answer."""
        return self.press(page, "consent-accept") if page.path == "/consent" else page

    def sign_in(self, client: str = "spa", username: str = "test", **parameters: Any) -> dict[str, str]:
        """All of it; what the app gets."""
        page = self.authorize(client, **parameters)
        if page.path == "/login":
            page = self.log_in(page, username, self.detent.password_of(username))
        return self.allow(page).answer

    def tokens(self, client: str = "spa", username: str = "test", **parameters: Any) -> dict[str, Any]:
        """All of it, and the code redeemed."""
        answer = self.sign_in(client, username, **parameters)
        assert "code" in answer, answer
        redeemed = self.detent.redeem(client, answer["code"])
        assert redeemed.status_code == 200, redeemed.text
        tokens: dict[str, Any] = redeemed.json()
        return tokens

    def _with_every_cookie(self, request: httpx.Request) -> None:
        if pairs := [f"{cookie.name}={cookie.value}" for cookie in self.http.cookies.jar]:
            request.headers["cookie"] = "; ".join(pairs)

    def _settled(self, response: httpx.Response) -> Page:
        for _ in range(10):
            if response.status_code not in (301, 302, 303, 307, 308):
                return Page(response)
            target = urljoin(str(response.url), response.headers["location"])
            if not target.startswith(self.detent.url):
                return Page(response)
            assert response.status_code == 303, "a browser would post again"
            response = self.http.get(target)
        raise AssertionError("redirected without end")


def request_of(client: str = "spa", **change: Any) -> dict[str, Any]:
    request = {
        "client_id": client,
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "openid profile email read",
        "state": STATE,
        "nonce": "a-nonce",
        "code_challenge": code_challenge_s256(VERIFIER),
        "code_challenge_method": "S256",
    } | change
    return {name: value for name, value in request.items() if value is not None}
