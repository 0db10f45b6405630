"""What went wrong, told to a person: the code, a sentence, what to do next, and the id to ask with."""

from typing import Final

from detent.core.errors import OAuthError
from detent.core.exchange import Request, Response
from detent.pages import words
from detent.pages.rendering import Rendering
from detent.web.page import html_page

TITLES: Final = {403: "That did not come from here", 404: "Nothing here", 429: "Slow down", 503: "Just a moment"}


class ErrorPage:
    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def __call__(self, request: Request, error: OAuthError) -> Response:
        body = self._rendering.page(
            "error",
            title=TITLES.get(error.status, "That did not work"),
            code=error.code,
            description=error.description,
            next_step=words.next_for(error),
            support_id=request.support_id,
        )
        response = html_page(body, error.status)
        if error.retry_after is None:
            return response
        return response.with_headers(("retry-after", str(error.retry_after)))
