// The theme switch: `[data-theme-choice="system|light|dark"]` buttons, remembered in this browser.

const KEY = "corbel-theme"; // theme-boot.ts reads it

export function watchThemes(): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-theme-choice]");
    if (button) choose(button.dataset.themeChoice ?? "system");
  });
  mark();
}

function choose(theme: string): void {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // The choice lasts as long as the page.
  }
  mark();
}

function mark(): void {
  const current = document.documentElement.dataset.theme ?? "system";
  for (const button of document.querySelectorAll<HTMLElement>("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === current));
  }
}
