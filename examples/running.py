"""What every example needs around its page of code: its settings, its port, and the JSON that it is sent.

Nothing secret is in the code: what differs from one place to the next is in the environment. start.py puts it there.
"""

import argparse
import os
import socket

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

LONGEST = 65_536


def setting(name: str) -> str:
    """A value of the environment. Ends the program with a sentence where it is missing."""
    if value := os.environ.get(name):
        return value
    raise SystemExit(f"{name} is not set. Start the example with `python -m examples.start`, or set it yourself.")


def port(default: int, about: str | None) -> int:
    """What `--port` says."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=default, help=f"default: {default}")
    chosen: int = parser.parse_args().port
    return chosen


def serve(app: Starlette, port: int) -> None:
    """On loopback until Ctrl-C. Ends the program with a sentence where the port cannot be had."""
    try:
        taken = socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise SystemExit(
            f"Port {port} cannot be used ({error}). Choose another with --port; on 3000 and 3001 are the demo apps of "
            "./up, unless they were taken when it started."
        ) from None
    print(f"http://127.0.0.1:{taken.getsockname()[1]}/", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[taken])


async def posted(request: Request, *names: str) -> tuple[str, ...]:
    """These strings of the JSON object in the body. Raises HTTPException 400, or 413 for more than LONGEST bytes."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise HTTPException(413, f"The body is longer than {LONGEST} bytes")
    try:
        document = msgspec.json.decode(body, type=dict[str, object])
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body must be a JSON object") from None
    values = tuple(value for name in names if isinstance(value := document.get(name), str) and value)
    if len(values) < len(names):
        raise HTTPException(400, f"The body needs, as strings: {', '.join(names)}")
    return values


async def refused(request: Request, error: Exception) -> JSONResponse:
    """Every refusal is JSON: `{"error": sentence}`."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
