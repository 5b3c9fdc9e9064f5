// A form with `data-busy` takes seconds to answer: it says so, and can't be sent twice meanwhile.
export function watchBusyForms(): void {
  document.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    if (event.defaultPrevented || form.dataset.busy === undefined) return;
    setBusy(form, true);
  });
  // Back from the page that answered, the browser shows this one as it was left.
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll<HTMLFormElement>("form[data-busy]")) setBusy(form, false);
  });
}

function setBusy(form: HTMLFormElement, busy: boolean): void {
  form.toggleAttribute("aria-busy", busy);
  for (const button of form.querySelectorAll<HTMLButtonElement>("button[type=submit]")) button.disabled = busy;
  for (const says of form.querySelectorAll<HTMLElement>("[data-busy-says]")) says.hidden = !busy;
}
