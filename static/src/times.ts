// Instants in the reader's own zone and words: `<time datetime="..." data-time>`.

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function watchTimes(): void {
  localise(document);
  document.addEventListener("htmx:after:swap", () => localise(document));
}

export function localise(root: ParentNode): void {
  for (const time of root.querySelectorAll<HTMLTimeElement>("time[data-time]")) {
    const when = new Date(time.dateTime);
    if (Number.isNaN(when.getTime())) continue;
    const text = time.dataset.time === "short" ? short.format(when) : since(when, new Date());
    if (time.textContent !== text) time.textContent = text;
    time.title = full.format(when);
  }
}

/** "5 minutes ago", "yesterday"; the date once it is a week old. */
export function since(when: Date, now: Date): string {
  const seconds = (when.getTime() - now.getTime()) / 1000;
  if (Math.abs(seconds) > 7 * 86_400) return day.format(when);
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return ago.format(Math.trunc(seconds / size), unit);
  }
  return "just now";
}
