// Loaded by a blocking script tag in the head: the page is painted in the remembered theme from its first frame.
try {
  const remembered = localStorage.getItem("corbel-theme");
  if (remembered === "light" || remembered === "dark") {
    document.documentElement.dataset.theme = remembered;
  }
} catch {
  // No storage, so nothing is remembered: the system's theme.
}
