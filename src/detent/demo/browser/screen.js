// What is on the page, from the state of the app. All text is set as text.

import { MEANING, TIMES, clock, day, decoded, fingerprint, left, now } from "/tokens.js";

const TEETH = 9; // of which the newest is the last
const element = (id) => document.getElementById(id);

export function on(id, act) {
  element(id).addEventListener("click", act);
}

export function onKeep(choose) {
  for (const radio of document.getElementsByName("keep")) {
    radio.addEventListener("change", () => choose(radio.value));
  }
}

export async function show(state) {
  const { user, keeping } = state;
  say("note", state.note);
  say("alert", state.alert);
  element("welcome").hidden = Boolean(user) || state.arriving;
  for (const id of ["app", "who"]) element(id).hidden = !user;
  for (const each of document.querySelectorAll(".issuer")) each.textContent = state.config.issuer;
  element("account").href = `${state.config.issuer}account`;
  if (!user) return;
  showPerson(user.profile);
  showFamily(keeping.family);
  showStory(state.steps, state.end);
  showApi(state.api);
  showLog(state.log);
  element(`keep-${keeping.place}`).checked = true;
  await showTokens(user, keeping.family);
}

export function countDown(user, next) {
  const { iat = now(), exp = user.expires_at } = decoded(user.access_token)?.claims ?? {};
  element("life").max = exp - iat;
  element("life").value = Math.max(0, exp - now());
  element("life-left").textContent = left(exp);
  element("next").textContent = next;
  for (const each of document.querySelectorAll("[data-until]")) each.textContent = left(Number(each.dataset.until));
}

// An error in words: the server's, or that there was no answer.
export function spelled(error, config) {
  if (error instanceof oidc.ErrorResponse) {
    return `The server answered ${error.error}: ${error.error_description ?? "without a word"}`;
  }
  if (error instanceof TypeError) return `No answer from ${config.issuer} or ${config.demo_api}. Is \`detent up\` running?`;
  return `${error.message}.`;
}

function say(id, words) {
  element(id).textContent = words;
  element(id).hidden = !words;
}

function showPerson({ name, preferred_username: username, sub, email }) {
  element("who-name").textContent = name ?? username ?? sub;
  element("who-email").textContent = email ?? "";
}

function showFamily({ generation, dead }) {
  element("standing").textContent = dead ? "This sign-in has ended" : "You are signed in";
  const before = generation === 1 ? "It has not been used yet." : "Those before it are used up, for good.";
  element("family-state").textContent = dead
    ? `Dead, all of it: ${generation === 1 ? "generation 1" : `generations 1 to ${generation}`}.`
    : `Generation ${generation}. ${before}`;
  const first = Math.max(1, generation - TEETH + 1);
  const teeth = Array.from({ length: generation - first + 1 }, (_, index) => tooth(first + index, generation, dead));
  element("teeth").replaceChildren(...teeth);
  element("family-actions").hidden = Boolean(dead);
  element("dead").hidden = !dead;
  element("dead-why").textContent = dead ?? "";
}

function tooth(number, generation, dead) {
  const newest = number === generation;
  const condition = dead ? "dead" : newest ? "newest" : "used";
  const item = made("li", { className: condition }, String(number));
  if (newest && !dead) item.ariaCurrent = "true";
  item.append(made("span", { className: "aside" }, ` ${condition}`));
  return item;
}

function showStory(steps, end) {
  const begins = element("story").hidden && steps.length > 0;
  element("story").hidden = !steps.length;
  if (begins) element("story-title").focus();
  element("steps").replaceChildren(...steps.map(step));
  element("story-end").replaceChildren(...(end ? ending(end) : []));
}

function step({ who, does, status, words }) {
  const item = made("li", {}, made("strong", {}, who), ` ${does}.`);
  item.append(" ", made("span", { className: status < 400 ? "good" : "bad" }, String(status)), " ", made("q", {}, words));
  return item;
}

function ending({ kind, supportId, words, accessTokenUntil }) {
  if (kind === "failed") return [made("p", {}, `It could not be played to its end. ${words}`)];
  if (kind === "overlap") {
    const why = "This client tolerates a repeat for some seconds, for answers that were lost.";
    return [made("p", {}, `${why} The thief has no more than you have, and the next step apart ends the family.`)];
  }
  const verdict = "One of the two had stolen it, and the server cannot know which. So it ended the whole family before it";
  const rest = "answered: the thief is out, and you sign in again, which the thief cannot.";
  const meanwhile = "The newest access token is dead at the server too. An API that checks by itself takes it for another ";
  return [
    made("p", {}, `${verdict} ${rest}`),
    made("p", {}, meanwhile, timer(accessTokenUntil), "."),
    made("p", {}, "The server can say why: ", made("code", {}, `detent family explain ${supportId}`)),
  ];
}

function showApi(api) {
  element("api").hidden = !api;
  if (!api) return;
  element("api-status").textContent = api.status === 200 ? "200 OK" : String(api.status);
  element("api-status").className = api.status < 400 ? "good" : "bad";
  element("api-answer").textContent = JSON.stringify(api.body, null, 2);
}

function showLog(entries) {
  const items = entries.map(({ at, words }) => made("li", {}, made("time", {}, clock(at)), ` ${words}`));
  element("log").replaceChildren(...items);
}

// What a person had opened stays open when a token is replaced.
async function showTokens(user, family) {
  const kinds = [
    ["access", "Access token", "for the API", user.access_token],
    ["id", "ID token", "for this app: who you are", user.id_token],
    ["refresh", "Refresh token", `generation ${family.generation}, for the server alone`, user.refresh_token],
  ];
  const cards = await Promise.all(kinds.filter((kind) => kind[3]).map((kind) => tokenCard(...kind)));
  const opened = new Set(Array.from(document.querySelectorAll("#tokens details[open]"), (each) => each.id));
  for (const card of cards) card.open = opened.has(card.id);
  element("tokens").replaceChildren(...cards);
}

async function tokenCard(id, name, what, token) {
  const read = decoded(token);
  const mark = made("code", { className: "mark" }, await fingerprint(token));
  const card = made("details", { id: `${id}-token` }, made("summary", {}, made("strong", {}, name), ` ${what} `, mark));
  if (read) card.append(made("p", { className: "soft" }, `Header: ${JSON.stringify(read.header)}`), claimList(read.claims));
  else card.append(made("p", {}, "It is opaque: only the server can read it, and knows its family, its generation and its end."));
  card.append(hiddenText(token));
  return card;
}

function claimList(claims) {
  const list = made("dl", { className: "claims" });
  for (const [name, value] of Object.entries(claims)) {
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    const shown = made("dd", {}, made("code", {}, text));
    const gloss = made("span", { className: "soft" }, MEANING[name] ?? "");
    if (TIMES.includes(name)) gloss.append(` ${day(value)}`);
    if (name === "exp") gloss.append(", in ", timer(value));
    if (gloss.textContent) shown.append(" ", gloss);
    list.append(made("dt", {}, made("code", {}, name)), shown);
  }
  return list;
}

function timer(until) {
  const shown = made("span", {}, left(until));
  shown.dataset.until = String(until);
  return shown;
}

function hiddenText(token) {
  const text = made("code", { className: "text", hidden: true }, token);
  const button = made("button", { className: "quiet", type: "button", ariaExpanded: "false" }, "Show the token itself");
  button.addEventListener("click", () => {
    text.hidden = !text.hidden;
    button.ariaExpanded = String(!text.hidden);
    button.textContent = text.hidden ? "Show the token itself" : "Hide it";
  });
  return made("div", { className: "itself" }, button, text);
}

function made(name, properties, ...content) {
  const one = Object.assign(document.createElement(name), properties);
  one.append(...content);
  return one;
}
