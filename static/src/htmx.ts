// htmx, unable to evaluate code: `hx-on`, `js:` values and trigger filters fail whatever the page's policy says.
import htmx from "htmx.org";
import { csrfToken } from "./http";

function refuse(): never {
  throw new Error("This page evaluates no code from attributes.");
}

htmx.registerExtension("no-eval", {
  init(api: { initSecurity(policy: undefined, sync: () => never, async: () => never): void }) {
    api.initSecurity(undefined, refuse, refuse);
  },
});

document.addEventListener("htmx:config:request", (event) => {
  const { request } = (event as CustomEvent<{ ctx: { request: { headers: Record<string, string> } } }>).detail.ctx;
  request.headers["X-CSRFToken"] = csrfToken();
});

// An answer without the part that was asked for is never shown in its place. Somebody was signed out, or lost a right,
// since this page was made, and reads so after a reload; or the server failed, and the page stays as it is.
document.addEventListener("htmx:after:request", (event) => {
  const { select, text, response } = (event as CustomEvent<{ ctx: Answered }>).detail.ctx;
  if (!select?.startsWith("#") || text.includes(`id="${select.slice(1)}"`)) return;
  event.preventDefault();
  if (response.status < 500) location.reload();
});

interface Answered {
  select?: string;
  text: string;
  response: { status: number };
}

export default htmx;
