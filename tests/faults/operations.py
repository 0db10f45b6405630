"""The four writes that matter most, over HTTP, and what must hold whatever became of one of them.

Each acts on a family of its own of `testclient`, which rotates strictly, or `app`. An app that got no answer asks
again with its retry key; nobody may lose by that, and nothing that was answered may be untrue afterwards.
"""

from collections.abc import Callable
from typing import Any, Final

import httpx
import msgspec

from tests.serving import Detent

KEY: Final = "k" * 22


class Asked(msgspec.Struct):
    """`given`: the tokens or the code it acts on; `again`: what a client does that got no answer, or a 503."""

    given: dict[str, str]
    status: int = 0  # 0: no answer


class Operation(msgspec.Struct, frozen=True):
    prepare: Callable[[Detent], dict[str, str]]
    ask: Callable[[Detent, dict[str, str]], httpx.Response]
    done: int
    judge: Callable[[Detent, Asked], None]


def _signed_in(detent: Detent) -> dict[str, str]:
    return {"refresh_token": detent.sign_in()["refresh_token"]}


def _rotate(detent: Detent, given: dict[str, str]) -> httpx.Response:
    return detent.refresh("testclient", given["refresh_token"], retry_key=KEY)


def _is_rotated(detent: Detent, asked: Asked) -> None:
    generation = detent.family(asked.given["refresh_token"]).generation
    assert generation == 2 if asked.status == 200 else generation in (1, 2)
    successor = _rotate(detent, asked.given)
    assert successor.status_code == 200, "an honest client was signed out"
    assert detent.family(asked.given["refresh_token"]).generation == 2
    detent.refreshed("testclient", successor.json()["refresh_token"])


def _coded(detent: Detent) -> dict[str, str]:
    return {"code": detent.code("app")}


def _redeem(detent: Detent, given: dict[str, str]) -> httpx.Response:
    return detent.redeem("app", given["code"])


def _is_redeemed(detent: Detent, asked: Asked) -> None:
    """RFC 6749 §4.1.2: a code is good once. Whoever had no answer may find it spent, and signs in again."""
    again = _redeem(detent, asked.given)
    assert again.status_code in ((400,) if asked.status == 200 else (200, 400))


def _revoke(detent: Detent, given: dict[str, str]) -> httpx.Response:
    return detent.revoke(given["refresh_token"])


def _is_revoked(detent: Detent, asked: Asked) -> None:
    if asked.status != 200:
        assert detent.family(asked.given["refresh_token"]).status in ("live", "revoked")
        assert _revoke(detent, asked.given).status_code == 200
    assert detent.family(asked.given["refresh_token"]).status == "revoked"
    assert detent.refresh("testclient", asked.given["refresh_token"]).status_code == 400


def _stolen(detent: Detent) -> dict[str, str]:
    given = _signed_in(detent)
    return {**given, "head": detent.refreshed("testclient", given["refresh_token"])["refresh_token"]}


def _reuse(detent: Detent, given: dict[str, str]) -> httpx.Response:
    return detent.refresh("testclient", given["refresh_token"])


def _is_killed(detent: Detent, asked: Asked) -> None:
    if asked.status != 400:
        assert _reuse(detent, asked.given).status_code == 400
    assert detent.family(asked.given["head"]).status == "compromised"
    assert detent.refresh("testclient", asked.given["head"]).status_code == 400


OPERATIONS: Final = {
    "rotation": Operation(_signed_in, _rotate, 200, _is_rotated),
    "redemption": Operation(_coded, _redeem, 200, _is_redeemed),
    "revocation": Operation(_signed_in, _revoke, 200, _is_revoked),
    "kill": Operation(_stolen, _reuse, 400, _is_killed),
}


def asked(detent: Detent, operation: Operation, given: dict[str, str]) -> tuple[Asked, dict[str, Any]]:
    """Ask, and see that the answer is the right one or a 503 without tokens."""
    answer = operation.ask(detent, given)
    assert answer.status_code in (operation.done, 503), answer.text
    told: dict[str, Any] = answer.json() if answer.content else {}
    if answer.status_code == 503:
        assert told["error"] == "temporarily_unavailable"
        assert "access_token" not in told
        assert "refresh_token" not in told
        assert int(answer.headers["Retry-After"]) > 0
    return Asked(given, answer.status_code), told
