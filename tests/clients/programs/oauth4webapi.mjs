// A native app without a secret, on oauth4webapi.

import { play } from "./play.mjs";

// the page shows from here
import * as oauth from "oauth4webapi";

const { ISSUER, CLIENT_ID } = process.env;
const REDIRECT_URI = "http://127.0.0.1:7777/callback";
const RETURN_URI = "http://127.0.0.1:7777/signed-out";
const issuer = new URL(ISSUER);
const options = { [oauth.allowInsecureRequests]: issuer.protocol === "http:" }; // in development only

const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options));
const client = { client_id: CLIENT_ID };
const authentication = oauth.None();

let verifier, state, nonce; // of the sign-in under way

async function begin() {
  [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: CLIENT_ID,
    redirect_uri: REDIRECT_URI,
    response_type: "code",
    scope: "openid profile email read offline_access",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
  });
  return url;
}

async function finish(url) {
  const answer = oauth.validateAuthResponse(server, client, new URL(url), state); // compares `iss` as well
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, authentication, answer, REDIRECT_URI, verifier, options,
  );
  const checks = { expectedNonce: nonce, requireIdToken: true };
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, checks);
  await oauth.validateApplicationLevelSignature(server, response, options);
  return tokens;
}

async function refresh(refreshToken) {
  const response = await oauth.refreshTokenGrantRequest(server, client, authentication, refreshToken, options);
  return oauth.processRefreshTokenResponse(server, client, response); // keep the new refresh_token
}

async function revoke(refreshToken) {
  const response = await oauth.revocationRequest(server, client, authentication, refreshToken, options);
  return oauth.processRevocationResponse(response);
}

function signOut(idToken) {
  const url = new URL(server.end_session_endpoint);
  url.search = new URLSearchParams({ id_token_hint: idToken, post_logout_redirect_uri: RETURN_URI });
  return url;
}
// to here

await play({ begin, finish, refresh, revoke, signOut });
