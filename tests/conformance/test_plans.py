"""The plan configurations in conformance/: they fit the server, its pages and the suite's modules as they are today.

A browser that knows nothing but the tasks of a configuration goes through our pages as the suite's own does.
"""

import json
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from conformance.plans import AGAIN, LEFT, REFUSED, SHOWN, post_logout_redirect_uri, redirect_uri
from conformance.prepare import main
from tests.browsing import Browser, Page
from tests.conformance.modules import PLANS
from tests.serving import Detent, running

ISSUER, SUITE = "https://op.example/", "https://suite.example:8443"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conformance") / "new"
    main([f"--issuer={ISSUER}", f"--suite={SUITE}", str(folder)])
    return folder


@pytest.fixture(scope="module")
def static(prepared: Path) -> Any:
    return json.loads((prepared / "static.json").read_text())


@pytest.fixture(scope="module")
def house(prepared: Path) -> Iterator[Detent]:
    data = prepared / "data"
    with running(data, data / "keys", "sqlite", public=ISSUER) as served:
        yield served


def asked(browser: Browser, client_id: str, **change: Any) -> Page:
    """The request of the basic plans: no PKCE."""
    plain = {"code_challenge": None, "code_challenge_method": None, "scope": "openid"}
    return browser.authorize(client_id, **{"redirect_uri": redirect_uri(SUITE), **plain, **change})


def followed(browser: Browser, page: Page, tasks: list[Any]) -> Page:
    """What the suite's browser does on these pages; a task that is not optional must match where it is."""
    for task in tasks:
        here = page.location if "location" in page.response.headers else str(page.url)
        if not fnmatch(here.replace(browser.detent.url, ISSUER), task["match"]):
            assert task["optional"], f"{task['task']}: {here} is not {task['match']}"
            continue
        fields: dict[str, str] = {}
        for verb, by, element, *rest in task["commands"]:
            assert by == "id"
            if verb == "text":
                fields[element] = rest[0]
            elif verb == "click":
                page = browser.press(page, element, **fields)
            elif "/test/" not in task["match"]:
                assert element in page.texts, f"{task['task']}: no #{element} on {here}"
    return page


def test_discovery_is_where_the_configuration_says(house: Detent, static: Any) -> None:
    url = static["server"]["discoveryUrl"]
    assert url.startswith(house.issuer)
    told = house.http.get(url.removeprefix(house.issuer)).json()
    assert told["issuer"] == ISSUER
    assert told["authorization_endpoint"] == static["browser"][0]["match"].rstrip("*")
    assert told["end_session_endpoint"] == static["browser"][1]["match"].rstrip("*")


def test_every_client_signs_in_by_the_tasks_of_the_configuration_and_redeems_its_code(
    house: Detent, static: Any
) -> None:
    for section in ("client", "client2", "client_secret_post"):
        told = static[section]
        with Browser(house) as browser:
            page = followed(browser, asked(browser, told["client_id"]), static["browser"][0]["tasks"])
            code = page.answer["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri(SUITE)}
        if section == "client_secret_post":
            answer = house.http.post("/oauth/token", data={**form, **told})
        else:
            answer = house.http.post("/oauth/token", data=form, auth=(told["client_id"], told["client_secret"]))
        assert answer.status_code == 200, answer.text
        assert answer.json()["refresh_token"]
        assert answer.json()["id_token"]


@pytest.mark.parametrize("module", [*AGAIN, *SHOWN, *REFUSED])
def test_what_a_module_is_shown_is_on_our_pages(house: Detent, static: Any, module: str) -> None:
    change = {"redirect_uri": f"{redirect_uri(SUITE)}?more"} if module in REFUSED else {}
    [browsed] = static["override"][module]["browser"]
    with Browser(house) as browser:
        followed(browser, asked(browser, static["client"]["client_id"], **change), browsed["tasks"])


@pytest.mark.parametrize("module", LEFT)
def test_what_a_module_is_shown_after_a_sign_out_is_on_our_pages(house: Detent, static: Any, module: str) -> None:
    coming, going = static["override"][module]["browser"]
    client_id = static["client"]["client_id"]
    returning = {"client_id": client_id, "post_logout_redirect_uri": post_logout_redirect_uri(SUITE)}
    with Browser(house) as browser:
        followed(browser, asked(browser, client_id), coming["tasks"])
        parameters = {**returning, "post_logout_redirect_uri": f"{SUITE}/other"} if LEFT[module] == "error" else {}
        followed(browser, browser.open("/oidc/logout", params=parameters), going["tasks"])
        came = asked(browser, client_id)
        page = browser.open("/oidc/logout", params=returning) if LEFT[module] == "error" else None
        assert came.path == ("/login" if page is None else came.path)
        if page is not None:
            back = followed(browser, page, static["browser"][1]["tasks"])
            assert back.location == returning["post_logout_redirect_uri"]


def test_every_override_is_for_a_module_of_a_plan(static: Any) -> None:
    modules = {module for plan in PLANS.values() for module in plan.modules}
    assert static["override"].keys() <= modules
