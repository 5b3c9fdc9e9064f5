// Closes what the end of an unfinished Markdown block left open, so that no marks flash by while it streams.

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const TABLE_HEAD = /^ {0,3}\|[^\n]*(\n[ |:-]*)?$/;
const LONE_MARK = /\n[ \t]*(?:[-*+]|\d{1,9}[.)]?|#{1,6}|>|=+|-+)?\s*$/;
const OPEN_CITATION = /\[\d{0,3}(?:, ?\d{0,3})*$/;
const OPEN_LINK = /!?\[([^\]\n]*)(?:\]\([^)\n]*)?$/;
const TRAILING_MARK = /(?<=^|[\s(])(?:\*{1,3}|_{1,3}|~~|`+)$/;

/** `text` is the last block. Fenced code is left alone: Markdown closes it by itself. */
export function mend(text: string): string {
  if (FENCE.test(text)) return text;
  if (TABLE_HEAD.test(text)) return ""; // until its second line says that it is a table
  const begun = text.replace(LONE_MARK, ""); // a list item without its first word yet
  if (hasOpenCode(begun)) return `${begun}\``;
  const mended = begun.replace(TRAILING_MARK, "").replace(OPEN_CITATION, "").replace(OPEN_LINK, "$1");
  return mended.trimEnd() + missingMarks(mended);
}

function hasOpenCode(text: string): boolean {
  return count(text.replaceAll("\\`", ""), /(?<!`)`(?!`)/g) % 2 === 1;
}

function missingMarks(text: string): string {
  const bare = text.replace(/`[^`]*`/g, "").replace(/\\./g, "");
  const opened = count(bare, /(?<=^|[\s(])\*(?=[^\s*])/g) + count(bare, /\*\*\*(?=[^\s*])/g);
  const closed = count(bare, /(?<=[^\s*])\*(?=[\s).,;:!?]|$)/g) + count(bare, /(?<=[^\s*])\*\*\*/g);
  const isStrong = count(bare, /\*\*/g) % 2 === 1;
  const isStruck = count(bare, /~~/g) % 2 === 1;
  return (opened > closed ? "*" : "") + (isStrong ? "**" : "") + (isStruck ? "~~" : "");
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}
