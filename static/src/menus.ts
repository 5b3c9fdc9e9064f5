// Menus are popovers: the browser opens, closes and stacks them. Here they are placed beside their button, and
// the arrow keys walk their items.

const GAP_PX = 4;
const MARGIN_PX = 8;

export function watchMenus(): void {
  document.addEventListener("toggle", opened, true);
  document.addEventListener("keydown", walk);
}

function opened(event: Event): void {
  const menu = event.target;
  if (!(menu instanceof HTMLElement) || !menu.matches(".menu")) return;
  const isOpen = (event as ToggleEvent).newState === "open";
  const button = document.querySelector<HTMLElement>(`[popovertarget="${CSS.escape(menu.id)}"]`);
  button?.setAttribute("aria-expanded", String(isOpen));
  if (isOpen && button) place(menu, button.getBoundingClientRect());
  if (!isOpen) menu.removeAttribute("style"); // htmx copies attributes, which the policy forbids for this one
}

/** Put a fixed box below `anchor`, or above it where there is more room, inside the window. */
export function place(box: HTMLElement, anchor: DOMRect): void {
  const { width, height } = box.getBoundingClientRect();
  const isBelow = anchor.bottom + GAP_PX + height <= innerHeight - MARGIN_PX || anchor.top < height;
  const top = isBelow ? anchor.bottom + GAP_PX : anchor.top - GAP_PX - height;
  const left = Math.min(anchor.left, innerWidth - width - MARGIN_PX);
  box.style.top = `${Math.max(MARGIN_PX, Math.min(top, innerHeight - height - MARGIN_PX))}px`;
  box.style.left = `${Math.max(MARGIN_PX, left)}px`;
}

function walk(event: KeyboardEvent): void {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const menu = [...document.querySelectorAll<HTMLElement>(".menu:popover-open")].at(-1);
  if (!menu) return;
  const items = [...menu.querySelectorAll<HTMLElement>(".menu-item")];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const next = event.key === "ArrowDown" ? at + 1 : at - 1;
  items.at(next % items.length)?.focus();
  event.preventDefault();
}
