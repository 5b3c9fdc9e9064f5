// Copy buttons: of an answer (its Markdown) and of a code block.
import { copy, showCopied } from "../clipboard";

export function watchCopies(root: HTMLElement, markdownOf: (answer: Element) => string): void {
  root.addEventListener("click", async (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy], [data-copy-code]");
    if (!button) return;
    const answer = button.closest("[data-reply]");
    const code = button.closest("figure")?.querySelector("code");
    const text = "copyCode" in button.dataset ? (code?.textContent ?? "") : answer ? markdownOf(answer) : "";
    await copy(text.trimEnd());
    showCopied(button);
  });
}
