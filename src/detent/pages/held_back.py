"""An error on its way to an app that registered itself: told to the person first, who may go on to it or not.

Source: RFC 9700 §4.11.2: else anybody who registers makes of our address a link to theirs, without a sign-in.
"""

from collections.abc import Mapping

from detent.core.client import Client
from detent.core.errors import OAuthError
from detent.core.exchange import Response
from detent.core.interaction import AuthorizationRequest
from detent.endpoints.response_modes import with_parameters
from detent.pages import words
from detent.pages.app_card import card_of
from detent.pages.rendering import Rendering
from detent.pages.response_modes import FormPost
from detent.web.page import Locks, html_page, leads_to


class HeldBackPage:
    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def __call__(
        self,
        client: Client,
        request: AuthorizationRequest,
        error: OAuthError,
        parameters: Mapping[str, str],
        support_id: str,
    ) -> Response:
        posted = request.response_mode == FormPost.name
        body = self._rendering.page(
            "held_back",
            app=card_of(client, request.redirect_uri),
            title=words.title_for(error),
            code=error.code,
            support_id=support_id,
            redirect_uri=request.redirect_uri,
            parameters=dict(parameters) if posted else {},
            link="" if posted else with_parameters(request.redirect_uri, parameters),
        )
        return html_page(body, locks=Locks(forms=(leads_to(request.redirect_uri),)))
