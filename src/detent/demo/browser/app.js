// The demo browser app: what a page does with oidc-client-ts, and what it shows. It holds no secret of its own.

import { Keeping, isOurs } from "/keeping.js";
import * as screen from "/screen.js";
import { theft } from "/story.js";
import { left, now } from "/tokens.js";

const SOON = 30; // seconds before its end at which an access token is replaced
const PATIENCE = 10; // seconds until that is tried again
const STORED_AFTER = 200; // milliseconds until every tab reads what this one has stored
const ONE_TAB = "detent-demo.refresh"; // tabs that share a refresh token must not use it at once
const ORIGIN = location.origin;

const config = await (await fetch("/config.json")).json();
const keeping = new Keeping();
const manager = new oidc.UserManager({
  authority: config.issuer,
  client_id: config.client_id,
  redirect_uri: `${ORIGIN}/callback`,
  silent_redirect_uri: `${ORIGIN}/silent`,
  post_logout_redirect_uri: `${ORIGIN}/signed-out`,
  scope: config.scope,
  resource: config.audience,
  automaticSilentRenew: false, // tick() sees to it, one tab at a time
  userStore: new oidc.WebStorageStateStore({ store: keeping }),
  stateStore: new oidc.WebStorageStateStore({ store: sessionStorage }),
});
const state = { config, keeping, user: null, arriving: true, note: "", alert: "", log: [], steps: [], end: null, api: null };
let tryAt = 0;

function log(words) {
  state.log.unshift({ at: now(), words });
}

async function show() {
  state.user = await manager.getUser();
  await screen.show(state);
}

// Runs what a person asked for; whatever goes wrong is said.
async function run(action) {
  state.note = state.alert = "";
  try {
    await action();
  } catch (error) {
    state.alert = screen.spelled(error, config);
    log(state.alert);
  }
  await show();
}

// Coming to the page: from a sign-in, from a sign-out, or just so.
async function arrive() {
  const { pathname, search } = location;
  if (pathname !== "/") history.replaceState({}, "", "/");
  if (pathname === "/callback") {
    const user = await manager.signinCallback(ORIGIN + pathname + search);
    keeping.begin();
    log(`Signed in as ${user.profile.preferred_username}: a code, exchanged with PKCE for three tokens.`);
  } else if (pathname === "/signed-out") {
    await manager.signoutCallback(ORIGIN + pathname + search);
    state.note = "You have signed out, here and at the server. What was issued in that session is dead.";
  } else if (!(await manager.getUser())) {
    await signInSilently();
  }
}

// In a hidden frame, without a word to the person, if their session at the server lives (prompt=none).
async function signInSilently() {
  try {
    const user = await manager.signinSilent();
    keeping.begin();
    log(`Signed in silently as ${user.profile.preferred_username}: your session at the server was enough.`);
  } catch (error) {
    if (!(error instanceof oidc.ErrorResponse) || !error.error.endsWith("_required")) throw error;
  }
}

async function refresh(why) {
  await navigator.locks.request(ONE_TAB, async () => {
    const before = await manager.getUser();
    if (!before || keeping.family.dead) return;
    if (why === "By itself" && before.expires_in > SOON) return; // another tab was first
    try {
      await manager.signinSilent();
    } catch (error) {
      if (error.error !== "invalid_grant") throw error;
      keeping.bury(`The server refused the refresh token: ${error.error_description}`);
      return log("The refresh token was refused: this sign-in has ended.");
    }
    keeping.turn(before.refresh_token);
    await seen();
    log(`${why}: refresh token ${keeping.family.generation - 1} was exchanged for number ${keeping.family.generation}.`);
  });
}

// A lock can reach another tab before what was stored under it does; with the old token it would look like a thief.
async function seen() {
  if (keeping.place === "local") await new Promise((done) => setTimeout(done, STORED_AFTER));
}

async function playTheThief() {
  state.steps = [];
  state.end = null;
  if (!keeping.family.former) await refresh("To have a used token");
  if (keeping.family.dead) return;
  await navigator.locks.request(ONE_TAB, async () => {
    const user = await manager.getUser();
    const { generation, former } = keeping.family;
    const server = { token: await manager.metadataService.getTokenEndpoint(), clientId: config.client_id };
    const held = { former, current: user.refresh_token, generation };
    const end = await theft(server, held, (step) => {
      state.steps.push(step);
      screen.show(state);
    });
    state.end = { ...end, accessTokenUntil: user.expires_at };
    if (end.kind !== "dead") return;
    keeping.bury("A used refresh token was shown again, so the whole family is dead.");
    log("Reuse was detected: the family is dead, newest token included.");
  });
}

async function callApi() {
  const { access_token: token } = state.user;
  const answer = await fetch(`${config.demo_api}secret`, { headers: { authorization: `Bearer ${token}` } });
  state.api = { status: answer.status, body: await answer.json() };
  log(`The API answered ${answer.status}.`);
}

async function keep(place) {
  keeping.place = place;
  log(place === "local" ? "The tokens moved to local storage." : "The tokens moved to memory.");
}

async function signInAgain() {
  keeping.forget();
  await manager.removeUser();
  await manager.signinRedirect();
}

async function signOut() {
  keeping.forget();
  await manager.signoutRedirect();
}

// Once a second: times count down, and what is about to expire is replaced.
function tick() {
  const { user } = state;
  if (!user) return;
  const due = user.expires_at - SOON;
  screen.countDown(user, due > now() ? `or by itself in ${left(due)}` : "");
  if (due > now() || tryAt > now() || keeping.family.dead) return;
  tryAt = now() + PATIENCE;
  run(() => refresh("By itself"));
}

screen.on("sign-in", () => run(() => manager.signinRedirect()));
screen.on("sign-in-again", () => run(signInAgain));
screen.on("sign-out", () => run(signOut));
screen.on("refresh", () => run(() => refresh("You asked")));
screen.on("thief", () => run(playTheThief));
screen.on("call-api", () => run(callApi));
screen.onKeep((place) => run(() => keep(place)));
window.addEventListener("storage", ({ key }) => (key === null || isOurs(key)) && show());
setInterval(tick, 1000);

await run(arrive);
state.arriving = false;
await show();
tick();
