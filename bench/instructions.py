"""What one refresh costs the processor: `python -m bench.instructions [--alg ES256] [--json]`, no clock involved.

The server's whole work, from the bytes of a request to those of its answer, carried out under valgrind once for few
refreshes and once for many; the difference is told per refresh. The kernel's share is not counted. Sixty-four
connections ask at a time, so that batches are those of a busy server.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.server import CLIENT_ID, CLIENT_SECRET, Silent, seeded
from detent.app import House, Outside
from detent.cli.serving import run
from detent.identity.passwords import Passwords
from detent.keys.file import FileKeys
from detent.stores.sqlite import SqliteStore
from detent.system import SystemClock, SystemEntropy
from detent.web.protocol import Protocol
from detent.web.server import Server

FEW, MANY, AT_ONCE = 128, 640, 64
ISSUER = "http://127.0.0.1:1/"
BASIC = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()


class Wire(asyncio.Transport):
    """One connection without a socket."""

    def __init__(self, server: Server) -> None:
        super().__init__({"peername": ("127.0.0.1", 5000), "sockname": ("127.0.0.1", 1)})
        self.protocol = Protocol(server.config, server.server_state, {})
        self.protocol.connection_made(self)
        self._answer: asyncio.Future[bytes]

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        self._answer = asyncio.get_running_loop().create_future()
        self.protocol.data_received(request)
        return self._answer

    def write(self, data: Any) -> None:
        self._answer.set_result(data)

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None: ...

    def pause_reading(self) -> None: ...


def request_of(token: str) -> bytes:
    body = f"grant_type=refresh_token&refresh_token={token}"
    return (
        f"POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Basic {BASIC}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def refreshed(folder: Path, alg: Any, number: int) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    keys = FileKeys.open(folder / "keys", clock)
    store = await SqliteStore.open(folder / f"{os.getpid()}.db")
    house = House(Outside(store, store, keys, clock, entropy, Silent(), Passwords()), issuer=ISSUER)
    tokens = await seeded(house, keys, alg, MANY, ("api",))
    server = Server(house.asgi)
    server.config.load()
    wires = [Wire(server) for _ in range(AT_ONCE)]
    for start in range(0, number, AT_ONCE):
        asked = [wire.ask(request_of(token)) for wire, token in zip(wires, tokens[start:], strict=False)]
        for answer in await asyncio.gather(*asked):
            assert answer.startswith(b"HTTP/1.1 200 "), answer
    await store.close()


def valgrind() -> str:
    found = shutil.which("valgrind")
    return found or sys.exit("valgrind is not installed: `sudo apt-get install valgrind`")


def counted(alg: str, number: int, folder: str, under: tuple[str, ...]) -> int:
    """Instructions of a whole process that carries out this many refreshes with the keys in this folder."""
    told = subprocess.run(
        [*under, sys.executable, "-m", "bench.instructions", "--alone", folder, str(number), "--alg", alg],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", told.stderr)
    return int(found[1].replace(",", "")) if found else 0


def per_refresh(alg: str) -> int:
    """The keys are made first, by a run that nobody counts: how long it takes to find primes is a matter of luck."""
    counting = (valgrind(), "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    with tempfile.TemporaryDirectory() as folder:
        counted(alg, AT_ONCE, folder, ())
        few, many = (counted(alg, number, folder, counting) for number in (FEW, MANY))
    return (many - few) // (MANY - FEW)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alg", default="ES256")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", nargs=2, metavar=("FOLDER", "NUMBER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        folder, number = options.alone
        return run(refreshed(Path(folder), options.alg, int(number)))
    per = per_refresh(options.alg)
    print(json.dumps({"alg": options.alg, "instructions": per}) if options.json else f"{per:,} instructions a refresh")
    return None


if __name__ == "__main__":
    main()
