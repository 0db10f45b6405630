// Keeps the pair of tokens in memory and renews it at /api/auth/token before the access token ends. No reload, no login.
const SOON = 30; // seconds before its end at which the access token is replaced
const shown = (id) => document.getElementById(id);
let pair = null;
let timer = 0;
let renewing = null;

function keep(fresh) {
  pair = fresh;
  clearTimeout(timer);
  if (fresh) {
    timer = setTimeout(renew, Math.max(1, fresh.expiresIn - SOON) * 1000);
    shown("pairs").textContent = Number(shown("pairs").textContent) + 1;
  }
  for (const id of ["me", "renew", "logout"]) shown(id).disabled = !fresh;
  shown("login").hidden = Boolean(fresh);
  shown("status").textContent = fresh ? "Signed in." : "Not signed in.";
}

const sent = (path, body) =>
  fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

// One at a time: a refresh token is good once. Where the server says no, only a new sign-in goes on; where it does not
// answer, the pair is kept and tried again.
function renew() {
  renewing ??= (async () => {
    try {
      const answer = await sent("/api/auth/token", { refreshToken: pair.refreshToken });
      if (answer.ok) keep(await answer.json());
      else if (answer.status === 401) keep(null);
      else throw new Error(answer.status);
    } catch {
      timer = setTimeout(renew, 5000);
    }
  })().finally(() => (renewing = null));
  return renewing;
}

async function whoAmI() {
  const ask = () => fetch("/api/me", { headers: { authorization: `Bearer ${pair.accessToken}` } });
  let answer = await ask();
  if (answer.status === 401) {
    await renew();
    if (!pair) return;
    answer = await ask();
  }
  const told = await answer.json();
  shown("status").textContent = answer.ok ? `You are ${told.sub}.` : told.error;
}

async function leave() {
  const answer = await sent("/api/auth/logout", { refreshToken: pair.refreshToken });
  const told = await answer.json();
  keep(null);
  shown("status").textContent = told.message ?? told.error;
}

async function arrive() {
  const came = location.search;
  history.replaceState(null, "", "/"); // the code is for one use, and nobody need see it
  const answer = await fetch(`/api/auth/callback${came}`);
  const told = await answer.json();
  if (answer.ok) keep(told);
  else shown("status").textContent = `That did not work: ${told.error}.`;
}

shown("me").addEventListener("click", whoAmI);
shown("renew").addEventListener("click", renew);
shown("logout").addEventListener("click", leave);
if (location.pathname === "/callback") arrive();
