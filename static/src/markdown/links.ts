// Links in answers: what a model wrote may name any address, so nothing is fetched before somebody clicks, and where
// a click leads is said beside its text.
import { element } from "../dom";

/** A browser may look hosts up before anybody clicks: a name that holds a secret would be told to its owner. */
export function lookNothingUp(): void {
  const meta = document.createElement("meta");
  meta.httpEquiv = "x-dns-prefetch-control";
  meta.content = "off";
  document.head.append(meta);
}

/** Opens apart, gives nothing away, and shows its host unless its text is that very address. */
export function markLink(link: HTMLAnchorElement): void {
  const href = link.getAttribute("href") ?? "";
  const host = hostOf(href);
  if (!host) {
    link.replaceWith(...link.childNodes);
    return;
  }
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  link.title = href;
  const text = (link.textContent ?? "").trim();
  if (text !== host && hostOf(text) !== host) link.append(element("span", "text-ink-faint break-all", ` (${host})`));
}

/** The host of an address on the web, the mailbox of a mailto; "" for anything else. */
function hostOf(address: string): string {
  try {
    const url = new URL(address);
    if (url.protocol === "mailto:") return url.pathname;
    return ["https:", "http:"].includes(url.protocol) ? url.host : "";
  } catch {
    return "";
  }
}
