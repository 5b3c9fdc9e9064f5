// Tokens of Markdown to DOM, through a sanitiser that lets nothing act, load or style.
import DOMPurify from "dompurify";
import type { Token } from "marked";
import { codeFigure } from "./code";
import { lookNothingUp, markLink } from "./links";
import { marked } from "./syntax";

const TAGS = (
  "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre span strong table tbody td th thead tr ul"
).split(" ");
const PLAIN_ATTRIBUTES = ["title", "class", "start", "align", "data-cite", "data-language"];

lookNothingUp();
const purify = DOMPurify(window);
purify.addHook("uponSanitizeAttribute", (_, attribute) => {
  // Only the highlighter's classes: ours could make a text look like a part of the page.
  if (attribute.attrName === "class" && !/^hljs-[\w-]+(?: [\w-]+_)*$/.test(attribute.attrValue)) attribute.keepAttr = false;
});

export function renderTokens(tokens: Token[]): DocumentFragment {
  return clean(marked.parser(tokens));
}

export function renderMarkdown(text: string): DocumentFragment {
  return clean(marked.parse(text) as string);
}

function clean(html: string): DocumentFragment {
  const fragment = purify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ["href", ...PLAIN_ATTRIBUTES],
    ADD_URI_SAFE_ATTR: PLAIN_ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a")) markLink(link);
  for (const block of fragment.querySelectorAll("pre")) block.replaceWith(codeFigure(block));
  for (const table of fragment.querySelectorAll("table")) frame(table);
  return fragment;
}

/** Wide tables scroll by themselves, with the keyboard too. */
function frame(table: HTMLTableElement): void {
  const scroller = document.createElement("div");
  scroller.className = "table-scroll";
  scroller.tabIndex = 0;
  table.replaceWith(scroller);
  scroller.append(table);
}
