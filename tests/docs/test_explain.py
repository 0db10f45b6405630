"""docs/explain.md shows what `detent family explain` says: its example is played here, over HTTP."""

import re
from pathlib import Path

import pytest

from detent.core.policy import HOUR
from tests.admin.test_families import families
from tests.browsing import Browser
from tests.fixtures import detent, keys_folder
from tests.serving import VAULT, Detent

__all__ = ["detent", "keys_folder"]
PAGE = Path(__file__).parents[2] / "docs" / "explain.md"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def played(detent: Detent) -> str:
    """The support id of a refusal: somebody used a copy of a refresh token that its app had redeemed long before."""
    with Browser(detent, FIREFOX) as laptop:
        scope = "openid read offline_access"
        page = laptop.log_in(laptop.authorize("app", scope=scope, resource=VAULT), "ada", "lovelace")
        token = detent.redeem("app", laptop.allow(page).answer["code"]).json()["refresh_token"]
    copy = token
    for _ in range(12):
        detent.clock.advance(7 * HOUR)
        copy, token = token, detent.refreshed("app", token)["refresh_token"]
    detent.clock.advance(20)
    detent.refreshed("app", copy)
    for _ in range(5):
        detent.clock.advance(8 * HOUR)
        token = detent.refreshed("app", token)["refresh_token"]
    detent.clock.advance(3 * HOUR)
    support_id: str = detent.refresh("app", copy).json()["support_id"]
    return support_id


@pytest.mark.slow
def test_the_page_quotes_what_is_told(detent: Detent) -> None:
    support_id = played(detent)
    told = "\n".join(detent.thread.call(families(detent).explain(support_id)).sentences)
    quoted = re.search(r"```\n\$ detent family explain (\w+)\n(.*?)\n```", PAGE.read_text(), re.S)
    assert quoted
    assert told.replace(support_id, quoted[1]) == quoted[2]
