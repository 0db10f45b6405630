"""The walk-through: tokens by the password grant, `/secret` opened, refreshed, opened again, signed out.

It runs against secret_api.py, and prints what it did and what came back. Any step that goes another way ends it with 1.
The password grant is for a walk-through and for migrations; token_app.py signs people in as a new app should.
"""

import argparse
from typing import Any

import httpx2

from examples.running import setting


class Walk:
    def __init__(self, issuer: str, api: str, credentials: tuple[str, str]) -> None:
        self._issuer = issuer
        self._api = api
        self._http = httpx2.Client(timeout=10)
        self._basic = httpx2.BasicAuth(*credentials)  # base64 of client_id:client_secret

    def tokens(self, **form: str) -> dict[str, Any]:
        answer = self._http.post(f"{self._issuer}oauth/token", data=form, auth=self._basic)
        tokens: dict[str, Any] = self._expected(200, answer)
        print(f"  a {tokens['token_type']} access token for {tokens['expires_in']} s, and a refresh token")
        return tokens

    def secret(self, access_token: str, status: int = 200) -> None:
        answer = self._http.get(f"{self._api}secret", headers={"Authorization": f"Bearer {access_token}"})
        told = self._expected(status, answer)
        print(f"  {status} {told.get('message') or told['error']}")

    def ended(self, refresh_token: str) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        told = self._expected(400, self._http.post(f"{self._issuer}oauth/token", data=form, auth=self._basic))
        print(f"  400 {told['error']}")

    def sign_out(self, refresh_token: str) -> None:
        self._expected(
            200, self._http.post(f"{self._issuer}oauth/revoke", data={"token": refresh_token}, auth=self._basic)
        )

    def _expected(self, status: int, answer: httpx2.Response) -> dict[str, Any]:
        if answer.status_code != status:
            raise SystemExit(f"{answer.url} answered {answer.status_code}, not {status}: {answer.text}")
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", default="http://127.0.0.1:3002/", help="where secret_api.py is")
    walk = Walk(setting("ISSUER"), parser.parse_args().api, (setting("CLIENT_ID"), setting("CLIENT_SECRET")))
    print("The password grant at /oauth/token:")
    first = walk.tokens(grant_type="password", username=setting("APP_USER"), password=setting("APP_PASSWORD"))
    print("The access token at /secret:")
    walk.secret(first["access_token"])
    print("The refresh token at /secret, where it is worth nothing:")
    walk.secret(first["refresh_token"], 401)
    print("The refresh token at /oauth/token:")
    second = walk.tokens(grant_type="refresh_token", refresh_token=first["refresh_token"])
    print("The new access token at /secret:")
    walk.secret(second["access_token"])
    walk.sign_out(second["refresh_token"])
    print("The refresh token after signing out:")
    walk.ended(second["refresh_token"])


if __name__ == "__main__":
    try:
        main()
    except httpx2.HTTPError as error:
        raise SystemExit(f"No answer: {error}. Are ./up and secret_api.py running?") from None
