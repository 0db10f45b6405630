// A browser app without a secret, on oidc-client-ts.

const { ISSUER, CLIENT_ID } = window;

// the page shows from here
import { UserManager, WebStorageStateStore } from "oidc-client-ts";

const manager = new UserManager({
  authority: ISSUER,
  client_id: CLIENT_ID,
  redirect_uri: `${location.origin}/callback`,
  post_logout_redirect_uri: `${location.origin}/signed-out`,
  scope: "openid profile email read",
  userStore: new WebStorageStateStore({ store: localStorage }), // leave it out, and a tab has its own sign-in
});

if (location.pathname === "/callback") {
  await manager.signinCallback();
  history.replaceState({}, "", "/");
}
if (location.pathname === "/signed-out") await manager.signoutCallback();

const signIn = () => manager.signinRedirect();

const user = () => manager.getUser(); // null, or with `profile`, `access_token`, `expired`

const refresh = () => manager.signinSilent(); // by itself a minute before the access token ends

const revoke = () => manager.revokeTokens(["refresh_token"]);

const signOut = () => manager.signoutRedirect();
// to here

window.app = {
  signIn,
  refresh: async () => (await refresh()).access_token,
  revoke,
  signOut,
  name: async () => (await user())?.profile.name,
};
