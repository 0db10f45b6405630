// The life that every client on Node leads, told as JSON lines (tests/clients/program.py): each line waits for one.
// `app` is what the program wrote on its library: begin, finish, refresh, revoke, signOut.

import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function tell(step, what = {}) {
  console.log(JSON.stringify({ step, ...what }));
  return (await lines.next()).value;
}

async function signIn(app) {
  const tokens = await app.finish(await tell("sign in", { url: String(await app.begin()) }));
  await tell("signed in", { tokens });
  return tokens;
}

async function refused(app, which, token) {
  const error = await app.refresh(token).then(
    () => ({ name: "nothing was refused" }),
    (error) => ({ name: error.constructor.name, code: error.code, message: error.message, error: error.error,
      error_description: error.error_description, support_id: error.cause?.support_id }),
  );
  await tell("refused", { which, ...error });
}

export async function play(app) {
  let tokens = await signIn(app);
  const old = tokens.refresh_token;
  for (let turn = 0; turn < 5; turn++) {
    tokens = { ...tokens, ...(await app.refresh(tokens.refresh_token)) };
    await tell("refreshed", { tokens });
  }
  await refused(app, "old", old);
  await refused(app, "newest", tokens.refresh_token);
  tokens = await signIn(app);
  await app.revoke(tokens.refresh_token);
  await tell("revoked");
  await refused(app, "revoked", tokens.refresh_token);
  await tell("sign out", { url: String(await app.signOut(tokens.id_token)) });
  process.exit(0);
}
