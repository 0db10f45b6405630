// Tells the answer to the window that asked, and to no other origin: the browser compares it.
const answer = document.getElementById("answer");
const asker = window.opener ?? window.parent;
asker.postMessage(
  { type: "authorization_response", response: JSON.parse(answer.dataset.response) },
  answer.dataset.origin,
);
