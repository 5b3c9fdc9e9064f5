// The list of conversations in the sidebar: rename, delete, and which one is open.
import htmx from "./htmx";
import { need } from "./dom";
import { post } from "./http";

export function watchConversations(): void {
  if (!document.querySelector("[data-conversations]")) return;
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-rename]");
    if (button) openRename(button.dataset.rename ?? "", button.dataset.title ?? "");
  });
  document.addEventListener("htmx:after:swap", markCurrent);
  const dialog = renameDialog();
  need(dialog, "form").addEventListener("submit", rename);
  need(dialog, "[data-cancel]").addEventListener("click", () => dialog.close());
  markCurrent();
}

/** Fetch the list anew, for instance when a first question began a conversation. */
export async function refreshConversations(): Promise<void> {
  const list = document.querySelector<HTMLElement>("[data-conversations]");
  if (!list?.dataset.conversations) return;
  await htmx.ajax("GET", list.dataset.conversations, { target: "#conversations", swap: "outerHTML" });
}

function renameDialog(): HTMLDialogElement {
  return need<HTMLDialogElement>(document, "[data-rename-dialog]");
}

function openRename(url: string, title: string): void {
  const dialog = renameDialog();
  const form = need<HTMLFormElement>(dialog, "form");
  const input = need<HTMLInputElement>(form, "input[name=title]");
  form.action = url;
  input.value = title;
  need(form, "[data-fault]").hidden = true;
  document.querySelector<HTMLElement>(".menu:popover-open")?.hidePopover();
  dialog.showModal();
  input.select();
}

async function rename(event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const form = event.currentTarget as HTMLFormElement;
  const title = need<HTMLInputElement>(form, "input[name=title]").value.trim();
  try {
    await post(form.action, { title });
  } catch {
    need(form, "[data-fault]").hidden = false;
    return;
  }
  renameDialog().close();
  await refreshConversations();
  const current = document.querySelector<HTMLElement>("[data-conversations] a[aria-current=page]");
  if (current && form.action.startsWith(new URL(current.getAttribute("href") ?? "", location.href).href)) {
    showTitle(current.title);
  }
}

/** The open conversation's title, wherever the page shows it. */
export function showTitle(title: string): void {
  for (const place of document.querySelectorAll("[data-conversation-title]")) place.textContent = title;
  document.title = document.title.replace(/^.*?(?= · )/, () => title);
}

function markCurrent(): void {
  for (const link of document.querySelectorAll<HTMLAnchorElement>("[data-conversations] a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
