"""A native app without a secret: code and PKCE, five refreshes that rotate, an old token, revocation, sign-out."""

import os
from pathlib import Path

from tests.clients.example import Example
from tests.clients.life import lived
from tests.clients.program import client_environment, program


def test_auth0_python_signs_in_refreshes_five_times_is_refused_an_old_token_and_signs_out(
    secure_example: Example, tmp_path: Path
) -> None:
    environment = client_environment(secure_example.detent.issuer, secure_example.registered("auth0-python"))
    environment["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"]
    with program("auth0_native.py", tmp_path / "log", environment) as running:
        refusals = lived(secure_example, running)
    for refusal in refusals.values():
        assert (refusal["name"], refusal["error_code"]) == ("Auth0Error", "invalid_grant")
        assert refusal["message"].startswith("Unknown or invalid refresh token")
