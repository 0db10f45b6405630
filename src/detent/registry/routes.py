"""Paths: what is served where, for whom."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from detent.core.client import Client
from detent.core.exchange import Form, Request, Response
from detent.core.ids import Instant

Handler = Callable[[Request], Awaitable[Response]]


class Route(msgspec.Struct, frozen=True):
    """A path; `metadata` is the discovery member that names its URL, `cors` who may read its answers.

    A path that ends in `/{}` stands for any last segment, which the handler reads from `Request.path`.
    `page`: it is for people, so that whatever goes wrong there is told on a page and not in JSON.
    """

    path: str
    methods: tuple[str, ...]
    handler: Handler
    metadata: str | None = None
    cors: Literal["nobody", "everybody", "client"] = "nobody"
    page: bool = False


class ClientRequest(msgspec.Struct, frozen=True):
    """A request whose client is authenticated, at an endpoint that a feature brings for clients."""

    request: Request
    form: Form
    client: Client
    now: Instant


class ClientRoute(msgspec.Struct, frozen=True):
    """A path that clients POST a form to, authenticated as at the token endpoint (RFC 6749 §2.3).

    `handler` raises OAuthError; `metadata` is as in `Route`.
    """

    path: str
    handler: Callable[[ClientRequest], Awaitable[Response]]
    metadata: str | None = None
