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

export default htmx;
