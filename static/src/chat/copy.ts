// Copy buttons: of an answer (its Markdown) and of a code block.

const SHOWN_MS = 1_600;

export function watchCopies(root: HTMLElement, markdownOf: (answer: Element) => string): void {
  root.addEventListener("click", async (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy], [data-copy-code]");
    if (!button) return;
    const answer = button.closest("[data-reply]");
    const code = button.closest("figure")?.querySelector("code");
    const text = "copyCode" in button.dataset ? (code?.textContent ?? "") : answer ? markdownOf(answer) : "";
    await copy(text.trimEnd());
    const label = button.querySelector<HTMLElement>("[data-label]") ?? button;
    label.textContent = "Copied";
    setTimeout(() => (label.textContent = "Copy"), SHOWN_MS);
  });
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyTheOldWay(text); // plain http on another machine has no clipboard API
  }
}

function copyTheOldWay(text: string): void {
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
