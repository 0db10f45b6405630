"""The modules of the suite's plan oidcc-3rdparty-init-login-certification, each as one test of its name."""

from tests.conformance.relying_party import ask_to_register
from tests.serving import Detent

URI = "https://rp.example/initiate?tenant=1"


def test_oidcc_3rd_party_init_login(provider: Detent) -> None:
    told = ask_to_register(provider, initiate_login_uri=URI).json()
    assert told["initiate_login_uri"] == URI
    bearer = {"Authorization": f"Bearer {told['registration_access_token']}"}
    answer = provider.http.get(told["registration_client_uri"], headers=bearer)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["initiate_login_uri"] == URI


def test_oidcc_3rd_party_init_login_nohttps(provider: Detent) -> None:
    answer = ask_to_register(provider, initiate_login_uri=URI.replace("https:", "http:"))
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    assert answer.json()["error"] == "invalid_client_metadata"
