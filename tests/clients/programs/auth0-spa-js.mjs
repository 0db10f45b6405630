// A browser app without a secret, on auth0-spa-js.

const { ISSUER, CLIENT_ID, CACHE } = window;

// the page shows from here
import { Auth0Client } from "@auth0/auth0-spa-js";

const auth0 = new Auth0Client({
  domain: ISSUER.replace(/\/$/, ""), // without the slash: it adds its own
  clientId: CLIENT_ID,
  useRefreshTokens: true,
  cacheLocation: CACHE, // "memory", or "localstorage"
  useRefreshTokensFallback: CACHE === "memory", // which a reload empties: begin again in a hidden frame
  authorizationParams: {
    redirect_uri: `${location.origin}/callback`,
    audience: "https://demo-api.example/",
    scope: "profile email read",
  },
});

if (location.pathname === "/callback") {
  await auth0.handleRedirectCallback();
  history.replaceState({}, "", "/");
}

const signIn = () => auth0.loginWithRedirect();

const user = () => auth0.getUser(); // undefined, or the claims of the ID token

const accessToken = () => auth0.getTokenSilently(); // refreshed when it is due

const revoke = () => auth0.revokeRefreshToken();

const signOut = () => auth0.logout({ logoutParams: { returnTo: `${location.origin}/signed-out` } });
// to here

window.app = {
  signIn,
  refresh: () => auth0.getTokenSilently({ cacheMode: "off" }),
  revoke,
  signOut,
  name: async () => (await user())?.name,
  checkSession: () => auth0.checkSession(),
};
