// A strip of sections that is wider than a phone begins at the one that is shown.
export function showSection(): void {
  document.querySelector("[data-sections] [aria-current=page]")?.scrollIntoView({ inline: "center", block: "nearest" });
}
