// What tokens say, for people to read. Nothing is verified here: oidc-client-ts checks the ID token's claims, and an
// access token is for the API to judge.

export const MEANING = {
  iss: "who issued it",
  sub: "whose it is: an id that never changes",
  aud: "who may accept it, and nobody else",
  azp: "the app it was issued to",
  client_id: "the app it was issued to",
  exp: "worthless from then on",
  iat: "issued",
  auth_time: "when you proved who you are",
  amr: "how you proved it",
  acr: "how well",
  scope: "what it opens",
  jti: "its serial number",
  sid: "your session at the server: it ends with that",
  nonce: "ties it to the sign-in that this app began",
  authorization_id: "the family it belongs to, and dies with",
};
export const TIMES = ["exp", "iat", "auth_time", "updated_at"];

export function decoded(token) {
  const parts = token.split(".");
  return parts.length === 3 ? { header: read(parts[0]), claims: read(parts[1]) } : null;
}

function read(part) {
  const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

// By which one token is told from another without showing it.
export async function fingerprint(token) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token)));
  return Array.from(digest.slice(0, 4), (each) => each.toString(16).padStart(2, "0")).join("");
}

export function now() {
  return Math.floor(Date.now() / 1000);
}

export function left(until) {
  const seconds = until - now();
  if (seconds <= 0) return "0:00: it has expired";
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((each) => String(each).padStart(2, "0"));
  const hours = Math.floor(seconds / 3600);
  return hours ? `${hours}:${parts.join(":")}` : parts.join(":").replace(/^0/, "");
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString();
}

export function day(seconds) {
  return new Date(seconds * 1000).toLocaleString();
}
