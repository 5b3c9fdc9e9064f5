// From when on a refused question may be asked again, in the reader's own zone.

const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

/** "You can ask again on Tuesday, 24 November, 01:00 your time (in 13 hours)."; nothing without a time. */
export function whenToAskAgain(resetsAt: string, now: Date): string {
  const when = new Date(resetsAt);
  if (!resetsAt || Number.isNaN(when.getTime())) return "";
  const seconds = Math.ceil((when.getTime() - now.getTime()) / 1000);
  if (seconds <= 0) return "You can ask again now.";
  const isToday = when.toDateString() === now.toDateString();
  const moment = isToday ? `at ${clock.format(when)}` : `on ${day.format(when)}, ${clock.format(when)}`;
  return `You can ask again ${moment} your time (${distance(seconds)}).`;
}

function distance(seconds: number): string {
  if (seconds < 60) return ago.format(seconds, "second");
  if (seconds < 3_600) return ago.format(Math.round(seconds / 60), "minute");
  if (seconds < 48 * 3_600) return ago.format(Math.round(seconds / 3_600), "hour");
  return ago.format(Math.round(seconds / 86_400), "day");
}
