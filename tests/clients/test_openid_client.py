"""A web app with a secret: code and PKCE, five refreshes that rotate, an old token, revocation, sign-out."""

from pathlib import Path

from tests.clients.example import Example
from tests.clients.life import assert_told, lived
from tests.clients.program import client_environment, program


def test_openid_client_signs_in_refreshes_five_times_is_refused_an_old_token_and_signs_out(
    example: Example, tmp_path: Path
) -> None:
    document = example.registered("openid-client")
    environment = client_environment(example.detent.issuer, document)
    with program("openid-client.mjs", tmp_path / "log", environment) as running:
        assert_told(lived(example, running))
