// A web app with a secret, on openid-client.

import { play } from "./play.mjs";

// the page shows from here
import * as client from "openid-client";

const { ISSUER, CLIENT_ID, CLIENT_SECRET } = process.env;
const REDIRECT_URI = "http://127.0.0.1:7777/callback";
const RETURN_URI = "http://127.0.0.1:7777/signed-out";
const issuer = new URL(ISSUER);

const config = await client.discovery(issuer, CLIENT_ID, CLIENT_SECRET, client.ClientSecretBasic(CLIENT_SECRET), {
  execute: issuer.protocol === "http:" ? [client.allowInsecureRequests] : [], // in development only
});

const checks = {}; // of the sign-in under way: keep them in your session

async function begin() {
  checks.pkceCodeVerifier = client.randomPKCECodeVerifier();
  checks.expectedState = client.randomState();
  checks.expectedNonce = client.randomNonce();
  return client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: "openid profile email read offline_access",
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: "S256",
    state: checks.expectedState,
    nonce: checks.expectedNonce,
  });
}

const finish = (url) => client.authorizationCodeGrant(config, new URL(url), checks);

const refresh = (refreshToken) => client.refreshTokenGrant(config, refreshToken); // keep the new refresh_token

const revoke = (refreshToken) => client.tokenRevocation(config, refreshToken);

const signOut = (idToken) =>
  client.buildEndSessionUrl(config, { id_token_hint: idToken, post_logout_redirect_uri: RETURN_URI });
// to here

await play({ begin, finish, refresh, revoke, signOut });
