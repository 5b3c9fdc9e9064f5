// Thumbs under an answer, and the form that says more. The form holds the whole feedback, and is sent whole.
import { need } from "../dom";
import { post } from "../http";

/** `tell` says something to who hears the page. */
export function watchFeedback(root: HTMLElement, tell: (text: string) => void): void {
  root.addEventListener("click", (event) => {
    const target = event.target as Element;
    const answer = target.closest<HTMLElement>("[data-answer]");
    if (!answer) return;
    const thumb = target.closest<HTMLElement>("[data-rate]");
    if (thumb) void rate(answer, thumb.dataset.rate ?? "", tell);
    if (target.closest("[data-comment]")) open(answer, formOf(answer).hidden !== false);
    if (target.closest("[data-close]")) leave(answer);
  });
  root.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    const answer = form.matches("[data-feedback]") && form.closest<HTMLElement>("[data-answer]");
    if (!answer || event.submitter?.hasAttribute("formaction")) return; // that one leads to another page
    event.preventDefault();
    void save(answer, tell);
  });
}

/** A thumb counts at once; the same one again takes it back, with what was said beside it. */
async function rate(answer: HTMLElement, thumb: string, tell: (text: string) => void): Promise<void> {
  const form = formOf(answer);
  const before = form.dataset.saved ?? "";
  const rating = thumb === before ? "" : thumb;
  show(answer, rating);
  if (!(await send(answer))) {
    show(answer, before);
    return;
  }
  if (!rating) empty(form);
  nameComment(answer);
  open(answer, rating !== "");
  tell(rating ? "Rated. You can say more in the form below the answer." : "Your rating is taken back.");
}

async function save(answer: HTMLElement, tell: (text: string) => void): Promise<void> {
  if (!(await send(answer))) return;
  nameComment(answer);
  leave(answer);
  tell("Thank you. That is saved.");
}

/** Whether it was saved; the page says so if not. */
async function send(answer: HTMLElement): Promise<boolean> {
  const form = formOf(answer);
  const fault = need(answer, "[data-feedback-fault]");
  const fields = new FormData(form);
  try {
    await post(form.action, Object.fromEntries([...fields].map(([name, value]) => [name, String(value)])));
    form.dataset.saved = String(fields.get("rating"));
    fault.hidden = true;
  } catch {
    fault.hidden = false;
  }
  return fault.hidden !== false;
}

function show(answer: HTMLElement, rating: string): void {
  const form = formOf(answer);
  need<HTMLInputElement>(form, "[name=rating]").value = rating;
  need(form, "[data-reasons]").hidden = rating !== "-1";
  need(answer, "[data-comment]").hidden = rating === "";
  for (const thumb of answer.querySelectorAll<HTMLElement>("[data-rate]")) {
    thumb.setAttribute("aria-pressed", String(thumb.dataset.rate === rating));
  }
}

function open(answer: HTMLElement, isOpen: boolean): void {
  const form = formOf(answer);
  form.hidden = !isOpen;
  need(answer, "[data-comment]").setAttribute("aria-expanded", String(isOpen));
  if (isOpen) form.scrollIntoView({ block: "nearest" });
}

/** Close the form and go back to the button that opens it. */
function leave(answer: HTMLElement): void {
  open(answer, false);
  need(answer, "[data-comment]").focus();
}

function empty(form: HTMLFormElement): void {
  need<HTMLTextAreaElement>(form, "[name=comment]").value = "";
  for (const reason of form.querySelectorAll<HTMLInputElement>("[name=reason]")) reason.checked = false;
}

function nameComment(answer: HTMLElement): void {
  const comment = need<HTMLTextAreaElement>(formOf(answer), "[name=comment]").value.trim();
  need(answer, "[data-comment]").textContent = comment ? "Your comment" : "Comment";
}

function formOf(answer: HTMLElement): HTMLFormElement {
  return need<HTMLFormElement>(answer, "[data-feedback]");
}
