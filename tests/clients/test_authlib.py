"""A web app with a secret: code and PKCE, five refreshes of its own accord, an old token, revocation, sign-out."""

from pathlib import Path

from tests.clients.example import Example
from tests.clients.life import lived
from tests.clients.program import client_environment, program


def test_authlib_signs_in_refreshes_five_times_is_refused_an_old_token_and_signs_out(
    example: Example, tmp_path: Path
) -> None:
    environment = client_environment(example.detent.issuer, example.registered("authlib"))
    with program("authlib_web.py", tmp_path / "log", environment) as running:
        refusals = lived(example, running)
    for refusal in refusals.values():
        assert (refusal["name"], refusal["error"]) == ("OAuthError", "invalid_grant")
        assert refusal["description"].startswith("Unknown or invalid refresh token")
