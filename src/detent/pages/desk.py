"""What every page for people stands on: the templates, the door for forms, who is here, and what comes next."""

from typing import Any

import msgspec

from detent.core.exchange import Form, Request
from detent.core.people import User
from detent.core.session import Session
from detent.endpoints.dispatch import Dispatcher
from detent.endpoints.visitor import Visitor, Visitors
from detent.pages.door import FormDoor
from detent.pages.rendering import Rendering
from detent.ports import Directory
from detent.web.form import parse_parameters


class Desk(msgspec.Struct, frozen=True):
    rendering: Rendering
    door: FormDoor
    visitors: Visitors
    dispatcher: Dispatcher
    directory: Directory

    def form(self, request: Request, visitor: Visitor) -> Form:
        """What was posted, which raises Forged as FormDoor says, or asked for by the address."""
        return self.door.form(request, visitor) if request.method == "POST" else parse_parameters(request)

    def page(self, template: str, **values: Any) -> str:
        return self.rendering.page(template, **values)

    async def person(self, session: Session | None) -> User | None:
        return await self.directory.user(session.subject) if session else None
