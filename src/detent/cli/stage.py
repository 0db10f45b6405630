"""Where development mode plays: its servers' places on loopback, taken before anything is built on them.

The issuer and the demo API stand where they were asked to, or nothing starts. A demo app whose usual port is taken
goes to a free one; the web app is left out where what it needs is not installed.
"""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import msgspec
from starlette.applications import Starlette

from detent.cli.serving import taken
from detent.demo.cast import BROWSER_PORT, WEB_PORT, Apps
from detent.web.server import loopback, port_of

EXTRA: Final = ("authlib", "httpx2", "itsdangerous")
ADD_EXTRA: Final = 'pip install "detent[demo]"'
_ADVICE: Final = "Choose others: --port PORT (the demo API takes the next), or --port 0."


class Place(msgspec.Struct, frozen=True):
    """`wanted` is the port that was asked for, 0 for any. By https it is called `localhost`, as certificates are."""

    sockets: list[socket.socket]
    wanted: int
    https: bool = False

    @property
    def port(self) -> int:
        return port_of(self.sockets[0])

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}" if self.https else f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/"

    def close(self) -> None:
        for each in self.sockets:
            each.close()


class Stage(msgspec.Struct, frozen=True):
    issuer: Place
    api: Place
    browser_app: Place
    web_app: Place | None

    @property
    def apps(self) -> Apps:
        return Apps(self.browser_app.origin, self.web_app.origin) if self.web_app else Apps(self.browser_app.origin)


def built(port: int, with_web_app: bool, stack: ExitStack, *, https: bool = False) -> Stage:
    """The places for an issuer on this port, 0 for free ones everywhere; the stack closes them. Raises Failure."""
    issuer = _place(port, stack, https)
    api = _place(min(port + 1, 65535) if port else 0, stack, https)
    browser_app = _place(BROWSER_PORT if port else 0, stack, https, or_free=True)
    web_app = _place(WEB_PORT if port else 0, stack, https, or_free=True) if with_web_app else None
    return Stage(issuer, api, browser_app, web_app)


def _place(port: int, stack: ExitStack, https: bool, *, or_free: bool = False) -> Place:
    try:
        place = Place(loopback(port), port, https)
    except OSError as error:
        if not or_free:
            raise taken(port, error, _ADVICE) from None
        place = Place(loopback(0), port, https)
    stack.callback(place.close)
    return place


def web_app_if_installed() -> Callable[..., Starlette] | None:
    """What makes the demo web app; None where the extra `demo` is not installed."""
    try:
        from detent.demo.web_app import web_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in EXTRA:
            return None
        raise
    return web_app
