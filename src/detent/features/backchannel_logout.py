"""Back-channel logout: an app names a URL, and the server posts a logout token there when a session ends.

Source: OpenID Connect Back-Channel Logout 1.0 §2.1, §2.2. Every logout token says `sub` and `sid`, whether or not the
app requires the second. Making and sending them is tokens/logout_token.py and detent.webhooks.
"""

from detent.core.client import BACKCHANNEL_LOGOUT_URI, Client
from detent.core.errors import InvalidClientMetadata
from detent.registry.feature import ClientCheck, Feature
from detent.web.outbound import Outbound


def _reachable(outbound: Outbound) -> ClientCheck:
    async def check(client: Client) -> None:
        """§2.2: absolute, https, without a fragment; plain http on loopback while developing. Resolves nothing."""
        uri = client.extra.get(BACKCHANNEL_LOGOUT_URI)
        if uri is not None and (fault := outbound.fault_of(uri)):
            raise InvalidClientMetadata(f"Nothing can be sent to {BACKCHANNEL_LOGOUT_URI}: {fault}.")

    return check


def feature(outbound: Outbound) -> Feature:
    return Feature(
        "backchannel-logout",
        ("OpenID Connect Back-Channel Logout 1.0",),
        metadata={"backchannel_logout_supported": True, "backchannel_logout_session_supported": True},
        client_metadata={BACKCHANNEL_LOGOUT_URI: str, "backchannel_logout_session_required": bool},
        client_checks=(_reachable(outbound),),
    )
