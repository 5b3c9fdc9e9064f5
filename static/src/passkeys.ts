// What allauth's passkey scripts leave unsaid: that a browser has none to offer, and what went wrong in its dialog.

const SENTENCES: Record<string, string> = {
  NotAllowedError: "The browser got no answer: its dialog was closed, or it took too long. Try again.",
  InvalidStateError: "This device holds a passkey of this account already.",
  SecurityError: "Passkeys belong to a site’s name. Open this page by its name, over https or on localhost.",
  NotSupportedError: "This device can’t keep a passkey of this kind. Choose another device.",
};
const ELSE = "The passkey could not be used. Check the connection and try again, or choose another way.";

export function watchPasskeys(): void {
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const { name } = (event as CustomEvent<{ exception: Error }>).detail.exception;
    for (const fault of document.querySelectorAll<HTMLElement>("[data-passkey-fault]")) {
      fault.textContent = SENTENCES[name] ?? ELSE;
      fault.hidden = false;
    }
  });
  if ("PublicKeyCredential" in window) return;
  for (const way of document.querySelectorAll<HTMLElement>("[data-passkey]")) way.hidden = true;
  for (const reason of document.querySelectorAll<HTMLElement>("[data-no-passkey]")) reason.hidden = false;
}
