"""A node of the next release, with a step of the schema that only it knows, joins nodes of this one under load."""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw
import psycopg
import pytest

import detent.stores
from detent.cli.office import STORE_FILE
from detent.stores.migrations import known_migrations
from tests.faults.nodes import Crowd, Installation, nodes
from tests.postgres import running_cluster

pytestmark = pytest.mark.slow
NEXT: Final = {
    "sqlite": "CREATE TABLE later (id TEXT PRIMARY KEY NOT NULL) STRICT; "
    "ALTER TABLE family ADD COLUMN later INTEGER NOT NULL DEFAULT 7; "
    "ALTER TABLE installation ADD COLUMN later TEXT; CREATE INDEX session_later ON session (subject)",
    "postgres": "CREATE TABLE later (id text PRIMARY KEY); "
    "ALTER TABLE family ADD COLUMN later bigint NOT NULL DEFAULT 7; "
    "ALTER TABLE installation ADD COLUMN later text; CREATE INDEX session_later ON session (subject)",
}


@pytest.fixture(params=["sqlite", "postgres"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    if request.param == "sqlite":
        yield Installation(tmp_path)
        return
    with running_cluster() as cluster:
        yield Installation(tmp_path, cluster.new_database())


@pytest.fixture
def next_release(tmp_path: Path) -> list[str]:
    """How it is started: this one, whose files of the schema are one more."""
    [package] = detent.stores.__path__
    folder = tmp_path / "next"
    shutil.copytree(Path(package) / "schema", folder / "schema")
    number = known_migrations("sqlite")[-1].number + 1
    for dialect, text in NEXT.items():
        (folder / "schema" / dialect / f"{number:03}_later.sql").write_text(text)
    patched = f"import pathlib, detent.stores.migrations as m; m.files = lambda _: pathlib.Path({str(folder)!r})"
    return [sys.executable, "-c", f"{patched}; from detent.cli import main; main()"]


def laters(installation: Installation) -> set[int]:
    """What the families hold in the column that the next release made."""
    question = "SELECT DISTINCT later FROM family"
    if conninfo := installation.env.get("DETENT_STORE"):
        with psycopg.connect(conninfo) as connection:
            return {value for (value,) in connection.execute(question).fetchall()}
    with closing(apsw.Connection(str(installation.data / STORE_FILE))) as db:
        return {int(str(value)) for (value,) in db.execute(question).fetchall()}


async def enough(crowd: Crowd, running: "asyncio.Task[None]", more: int) -> None:
    """Until so many more were answered with tokens."""
    wanted = len(crowd.answered) + more
    while True:
        if len(crowd.answered) >= wanted or running.done():
            return
        await asyncio.sleep(0.05)


def test_nodes_of_this_release_go_on_while_one_of_the_next_changes_the_schema_and_joins(
    installation: Installation, next_release: list[str]
) -> None:
    async def story(crowd: Crowd) -> None:
        running = asyncio.create_task(crowd.run(8))
        await enough(crowd, running, 50)
        newer = installation.node("next", next_release)
        node = await asyncio.to_thread(newer.__enter__)
        try:
            await enough(crowd, running, 50)  # at the old ones, on the new schema
            crowd.urls = [*crowd.urls, node.url]
            await enough(crowd, running, 100)  # at all of them
            crowd.urls = [node.url]
            await enough(crowd, running, 50)
            crowd.stop()
            await running
        finally:
            await asyncio.to_thread(newer.__exit__, None, None, None)

    with nodes(installation, 2) as started:
        crowd = Crowd(installation)
        crowd.urls = [node.url for node in started]
        asyncio.run(story(crowd))
    assert (crowd.refused, crowd.failed, crowd.violations()) == ([], [], [])
    assert len(crowd.answered) >= 250
    assert laters(installation) == {7}
    with pytest.raises(AssertionError, match="newer release"), installation.node("too late"):
        pass
