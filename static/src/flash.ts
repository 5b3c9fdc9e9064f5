// Messages that the last page left: they can be dismissed, and good news leaves by itself.

const STAYS_MS = 6_000;

export function watchFlashes(): void {
  document.addEventListener("click", (event) => {
    (event.target as Element).closest("[data-dismiss]")?.closest("[data-flash]")?.remove();
  });
  for (const flash of document.querySelectorAll("[data-flash]:not(.notice-error)")) {
    setTimeout(() => flash.remove(), STAYS_MS);
  }
}
