"""What went wrong, told to a person: the code, a sentence, what to do next, and the id to ask with."""

from detent.core.errors import NotFound, OAuthError
from detent.core.exchange import Request, Response
from detent.pages import words
from detent.pages.rendering import Rendering
from detent.web.page import html_page


class ErrorPage:
    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def __call__(self, request: Request, error: OAuthError) -> Response:
        body = self._rendering.page(
            "error",
            root="../" * (request.path.count("/") - 1),
            title=words.title_for(error),
            code=error.code,
            description=error.description,
            next_step=words.next_for(error),
            to_account=isinstance(error, NotFound),
            support_id=request.support_id,
        )
        response = html_page(body, error.status)
        if error.retry_after is None:
            return response
        return response.with_headers(("retry-after", str(error.retry_after)))
