"""The running example that real clients meet: the people, APIs and clients that `detent up` seeds, served over HTTP.

A client is registered by the very line of its page in docs/clients/, at the command line. The test moves the clock,
which starts some minutes ago: clients compare the times in tokens with their own, and none may lie ahead.
"""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from detent.admin.registrations import ApiFields
from detent.cli.identity import KEYS_FOLDER
from detent.core.ids import Instant
from detent.demo.api import demo_api
from detent.demo.cast import DEMO_API, INTROSPECTING, VAULT
from detent.demo.seeds import development_secrets, seed
from detent.keys.file import FileKeys
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from detent.testing.server import Loopback
from tests.cli.conftest import DETENT, PLAIN
from tests.clients.pages import PAGES
from tests.clients.program import PATIENCE
from tests.serving import SECRET, Detent, running, trust

AGO: Final = 8 * 60  # seconds; mod_auth_openidc lets an ID token be ten minutes old
_ADDS: Final = re.compile(r"^detent ((?:client|api) add (?:.*\\\n)*.*)$", re.M)


class Example:
    """`detent` is the house, `api` the demo API that its tokens are for."""

    def __init__(self, detent: Detent, data: Path, api: httpx.Client) -> None:
        self.detent = detent
        self.api = api
        self._data = data

    def registered(self, page: str, **instead: str) -> dict[str, Any]:
        """What the line `detent client add …` or `detent api add …` of docs/clients/PAGE.md adds; its document, with
        the secret.

        `instead` says which part of the line is another here, such as the port of an app.
        """
        lines = _ADDS.findall((PAGES / f"{page}.md").read_text(encoding="utf-8"))
        assert len(lines) == 1, f"one line of {page}.md registers something"
        words = shlex.split(lines[0].replace("\\\n", ""))
        for usual, here in instead.items():
            words = [word.replace(usual, here) for word in words]
        return self._detent(*words)

    def updated(self, client_id: str, *options: str) -> dict[str, Any]:
        return self._detent("client", "update", client_id, *options)

    def secret_area(self, access_token: str) -> int:
        """The status with which the demo API answers."""
        return self.api.get("/secret", headers={"Authorization": f"Bearer {access_token}"}).status_code

    def active(self, access_token: str) -> bool:
        told: bool = self.detent.introspect(access_token, INTROSPECTING)["active"]
        return told

    def _detent(self, *words: str) -> dict[str, Any]:
        """The command line in a process of its own, as a person beside the server uses it."""
        command = [*DETENT, *words, "--data", str(self._data), "--json"]
        done = subprocess.run(command, env=PLAIN, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document


@contextmanager
def standing(data: Path, keys: Path, clock: Any, at: Loopback | None = None, **settings: Any) -> Iterator[Detent]:
    """A house whose data directory the command line finds; `settings` are those of tests/serving.py."""
    data.mkdir(mode=0o700)
    FileKeys.open(keys, clock)
    (data / KEYS_FOLDER).symlink_to(keys)
    with running(data, keys, "sqlite", clock=clock, at=at, **settings) as detent:
        yield detent


@contextmanager
def running_example(data: Path, keys: Path, at: Loopback | None = None) -> Iterator[Example]:
    clock = ManualClock(Instant(int(time.time()) - AGO))
    with standing(data, keys, clock, at) as detent:
        house, api = detent.house, Loopback()
        secrets = development_secrets(data, SystemEntropy())
        detent.thread.call(seed(secrets, house.outside.directory, house.registrations, house.people))
        asked = ApiFields(introspected_by=(INTROSPECTING,))  # so that a test may ask what has become of a token
        detent.thread.call(house.registrations.update_api(DEMO_API, asked))
        guarded = demo_api(detent.issuer, DEMO_API, VAULT, (INTROSPECTING, SECRET), clock=clock.now)
        detent.thread.serve(guarded, api)
        with httpx.Client(base_url=api.url, timeout=120, verify=trust()) as http:
            yield Example(detent, data, http)
