"""What a refresh costs beside its statements: signatures, and bytes on their way to the disk. No clock is involved.

Statements and commits are in test_counters.py, instructions in tests/system/test_instructions.py.
"""

from pathlib import Path
from typing import Any

import pytest

from detent.keys.file import FileKeys
from tests.attacks.outcomes import ongoing, signed_in
from tests.serving import Detent, running

pytestmark = pytest.mark.quick

detent = ongoing
FRAME = 4096 + 24  # bytes: a page of SQLite in the WAL, with its header


@pytest.mark.parametrize(("scope", "signatures"), [("read", 1), ("openid read", 2)])
def test_costs_a_refresh_signs_what_it_answers_and_nothing_else(
    detent: Detent, monkeypatch: pytest.MonkeyPatch, scope: str, signatures: int
) -> None:
    token = detent.sign_in("testclient", scope=scope)["refresh_token"]
    signed = []
    sign = FileKeys.sign

    async def counted(keys: FileKeys, alg: Any, typ: str, claims: dict[str, Any]) -> str:
        signed.append(typ)
        return await sign(keys, alg, typ, claims)

    monkeypatch.setattr(FileKeys, "sign", counted)
    detent.refreshed("testclient", token)
    assert len(signed) == signatures


def test_costs_a_refused_refresh_signs_nothing(detent: Detent, monkeypatch: pytest.MonkeyPatch) -> None:
    used = signed_in(detent, "testclient")["refresh_token"]
    detent.refreshed("testclient", used)

    async def never(*_: object) -> str:
        raise AssertionError("signed for a refusal")

    monkeypatch.setattr(FileKeys, "sign", never)
    for token in (used, "garbage", "dtrt_" + "A" * 84):
        assert detent.refresh("testclient", token).status_code == 400


@pytest.mark.sqlite
def test_costs_a_refresh_writes_one_page(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that a refresh changes is indexed: the row's page goes into the WAL, and the WAL ends there."""
    wal = tmp_path / "detent.db-wal"
    with running(tmp_path, tmp_path_factory.mktemp("keys"), "sqlite") as detent:
        token = detent.refreshed("testclient", signed_in(detent, "testclient")["refresh_token"])["refresh_token"]
        for _ in range(3):
            before = wal.stat().st_size
            token = detent.refreshed("testclient", token)["refresh_token"]
            assert wal.stat().st_size - before == FRAME
