// The theft, played in one browser: the app shows a refresh token that it used up, as a thief would who copied it.
// Each step is a real request, and what is told of it is what the server answered.

// `server` is { token, clientId }, `held` is { former, current, generation }; `tell` is given each step.
// Returns { kind, supportId, words }: the family is "dead", or there was an "overlap", or it "failed".
export async function theft(server, held, tell) {
  const thief = await present(server, held.former);
  const used = held.generation - 1;
  tell({ who: "The thief", does: `presents refresh token ${used}, which you had used up`, ...thief });
  if (!thief.error) return { kind: "overlap" };
  if (thief.error !== "invalid_grant") return { kind: "failed", ...thief };
  const owner = await present(server, held.current);
  tell({ who: "You", does: `present refresh token ${held.generation}, the newest, never used before`, ...owner });
  return { kind: owner.error === "invalid_grant" ? "dead" : "failed", ...thief };
}

async function present({ token, clientId }, refreshToken) {
  const form = { grant_type: "refresh_token", client_id: clientId, refresh_token: refreshToken };
  const answer = await fetch(token, { method: "POST", body: new URLSearchParams(form) });
  const { error, error_description: why, support_id: supportId } = await answer.json();
  return { status: answer.status, error, supportId, words: error ? `${error}: ${why}` : "It got the token that you hold." };
}
