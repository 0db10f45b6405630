"""The example apps as processes of their own, started as their reader starts them and spoken to over HTTP."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from detent.core.changes import InsertApi, InsertClient, Part
from detent.core.ids import Instant
from detent.testing.clock import ManualClock
from tests.cli.conftest import PLAIN, SECONDS, Process
from tests.serving import SECRET, Detent, client

ROOT: Final = Path(__file__).parent.parent


def ran(module: str, *arguments: str, env: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
    """An example that ends by itself."""
    command = [sys.executable, "-m", f"examples.{module}", *arguments]
    environment = {**PLAIN, **env}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def serving(module: str, *arguments: str, env: Mapping[str, str] = {}) -> Iterator[httpx.Client]:
    """An example that serves, until the block ends: a client of it."""
    command = [sys.executable, "-m", f"examples.{module}", *arguments]
    started = subprocess.Popen(command, cwd=ROOT, env={**PLAIN, **env}, stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout
        url = started.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), f"examples.{module} said {url!r}"
        with httpx.Client(base_url=url, timeout=120) as http:
            yield http
    finally:
        started.terminate()
        started.communicate(timeout=SECONDS)


def started(name: str, up: Process, *arguments: str) -> list[str]:
    """What to say to examples.start for this `detent up`."""
    data = str(up.log.parent / "data")
    return [name, "--issuer", up.ready["issuer"], "--data", data, *arguments]


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return str(found.getsockname()[1])


def present() -> ManualClock:
    """A clock at the time of day: an example of its own process has no other."""
    return ManualClock(Instant(int(time.time())))


def registered(detent: Detent, name: str, *parts: Part, apis: Mapping[str, Any] = {}, **fields: Any) -> dict[str, str]:
    """A confidential client of a house in this process; the environment that tells an example of it."""
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client(name, "web", keys, **fields)), *map(InsertApi, apis.values()), *parts)
    return {"ISSUER": detent.issuer, "CLIENT_ID": name, "CLIENT_SECRET": SECRET}
