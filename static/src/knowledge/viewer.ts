// A document's text: its headings look like headings, and the passage that was asked for comes into view.
import { element } from "../dom";

const HEADING = /^#{1,6} +(.+)$/gm;

export function showDocument(): void {
  for (const part of document.querySelectorAll(".document-text > :is(span, mark)")) styleHeadings(part);
  const passage = document.querySelector<HTMLElement>("[data-passage]");
  if (!passage) return;
  passage.scrollIntoView({ block: "center", behavior: "instant" });
  passage.focus({ preventScroll: true }); // a screen reader goes on from here
}

/** Extracted text is light Markdown: "## Leave" is a heading. */
function styleHeadings(part: Element): void {
  const text = part.textContent ?? "";
  const pieces: (Node | string)[] = [];
  let end = 0;
  for (const match of text.matchAll(HEADING)) {
    pieces.push(text.slice(end, match.index), element("strong", "document-heading", match[1] ?? ""));
    end = match.index + match[0].length;
  }
  if (end > 0) part.replaceChildren(...pieces, text.slice(end));
}
