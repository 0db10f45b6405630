"""APIs that nobody registers, because there is one per tenant and they come and go: a resource policy of your own.

    GET /authorize?...&resource=https://acme.apps.example/   a token for that tenant's API alone, with its scopes

Give it to the server that you compose: `House(..., more=lambda house: (feature("apps.example", tenants),))`. Without a
policy every `resource` that is not registered is refused (`invalid_target`), and with this one all but a tenant's are.
"""

import re
from collections.abc import Collection

from detent.core.api import Api
from detent.core.ids import Instant
from detent.registry.feature import Feature

SCOPES = {"tenant:read": "See what your company keeps there", "tenant:write": "Change it"}


class Tenants:
    """`tenants` is asked at every token: one that is taken out gets no more of them, refreshes included."""

    name = "tenants"

    def __init__(self, domain: str, tenants: Collection[str]) -> None:
        self._own = re.compile(rf"https://([a-z0-9][a-z0-9-]{{0,62}})\.{re.escape(domain)}/")
        self._tenants = tenants

    async def api(self, identifier: str) -> Api | None:
        found = self._own.fullmatch(identifier)
        if found is None or found[1] not in self._tenants:
            return None
        return Api(identifier, Instant(0), f"{found[1]}'s data", SCOPES, access_life=600)


def feature(domain: str, tenants: Collection[str]) -> Feature:
    return Feature("tenants", ("RFC 8707 §2",), resource_policies=(Tenants(domain, tenants),))
