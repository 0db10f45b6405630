"""An open loop: `storm.py URL RATE SECONDS LANES BODIES`, this many requests a second whatever becomes of them.

For what must not disturb others: garbage, sign-ins. In each lane requests follow one another without waiting for
answers (RFC 9112 §9.3.2); the server takes them one by one, so LANES is how many it has at a time. Prints how many
were sent, and how many were answered with each status.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TICK = 0.01
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Lane(asyncio.Protocol):
    def __init__(self, statuses: Counter[str]) -> None:
        self._statuses = statuses
        self.closed = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._statuses.update(status.decode() for status in _STATUS.findall(data))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True


async def storm(url: str, rate: float, seconds: float, many: int, bodies: list[bytes]) -> dict[str, Any]:
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    basic = os.environ.get("OA_BASIC")
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        + (f"Authorization: Basic {basic}\r\n" if basic else "")
        + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
    ).encode()
    requests = cycle([head + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies])
    statuses: Counter[str] = Counter()
    lanes: list[Lane] = []
    for _ in range(many):
        lanes.append((await loop.create_connection(lambda: Lane(statuses), str(parts.hostname), parts.port or 80))[1])
    sent, began = 0, time.perf_counter()
    turns = cycle(lanes)
    while (passed := time.perf_counter() - began) < seconds:
        while sent < rate * passed:
            next(turns).transport.write(next(requests))
            sent += 1
        await asyncio.sleep(TICK)
    return {"sent": sent, "statuses": dict(statuses), "closed": sum(lane.closed for lane in lanes)}


if __name__ == "__main__":
    url_, rate_, seconds_, lanes_, bodies_ = sys.argv[1:]
    lines = Path(bodies_).read_bytes().splitlines()
    print(json.dumps(asyncio.run(storm(url_, float(rate_), float(seconds_), int(lanes_), lines))))
