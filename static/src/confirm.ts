// Asks before a form with `data-confirm` is sent. The question and the name of the deed come from the form.
import { need } from "./dom";

const confirmed = new WeakSet<HTMLFormElement>();

export function watchConfirmations(): void {
  // In the capture phase: htmx listens on the form itself and must not hear of it before the answer.
  document.addEventListener("submit", ask, true);
}

async function ask(event: SubmitEvent): Promise<void> {
  const form = event.target as HTMLFormElement;
  const question = form.dataset.confirm;
  if (question === undefined || confirmed.delete(form)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (await answer(question, form.dataset.confirmDetail ?? "", form.dataset.confirmDeed ?? "Delete")) {
    confirmed.add(form);
    form.requestSubmit();
  }
}

function answer(question: string, detail: string, deed: string): Promise<boolean> {
  const dialog = need<HTMLDialogElement>(document, "[data-confirm-dialog]");
  need(dialog, "[data-subject]").textContent = question;
  need(dialog, "[data-detail]").textContent = detail;
  need(dialog, "[data-deed]").textContent = deed;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
