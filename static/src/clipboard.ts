// Putting text into the clipboard, and the buttons that do it for a field: `data-copy-from` names the field's id.

const SHOWN_MS = 1_600;

export function watchCopyButtons(): void {
  document.addEventListener("click", async (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy-from]");
    const field = document.getElementById(button?.dataset.copyFrom ?? "");
    if (!button || !(field instanceof HTMLInputElement)) return;
    await copy(field.value);
    showCopied(button);
  });
}

/** Say on the button that it worked, for a moment. */
export function showCopied(button: HTMLElement): void {
  const label = button.querySelector<HTMLElement>("[data-label]") ?? button;
  label.textContent = "Copied";
  setTimeout(() => (label.textContent = "Copy"), SHOWN_MS);
}

export async function copy(text: string): Promise<void> {
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
