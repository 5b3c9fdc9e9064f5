// A document's text: the passage that was asked for comes into view.
export function showDocument(): void {
  const passage = document.querySelector<HTMLElement>("[data-passage]");
  if (!passage) return;
  passage.scrollIntoView({ block: "center", behavior: "instant" });
  passage.focus({ preventScroll: true }); // a screen reader goes on from here
}
