// The passages an answer rests on: numbered chips in the text, and the list below it.
import { copyOf, element, need } from "../dom";
import type { Citation, Passage } from "./events";

export interface Source {
  number: number;
  title: string;
  where: string;
  quote: string;
  url: string;
}

export class Sources {
  private readonly byNumber = new Map<number, Source>();

  learn(items: (Passage | Citation)[]): void {
    for (const item of items) this.byNumber.set(item.number, asSource(item));
  }

  /** Keep only what was cited in the end: any other number is plain text. */
  settle(citations: Citation[]): void {
    this.byNumber.clear();
    this.learn(citations);
  }

  get(number: number): Source | undefined {
    return this.byNumber.get(number);
  }

  /** Turn citation marks with a known passage into chips; the others stay as they were written. */
  markUp(root: ParentNode): void {
    for (const mark of root.querySelectorAll<HTMLElement>("[data-cite]")) {
      const source = this.byNumber.get(Number(mark.dataset.cite));
      if (source) mark.replaceWith(chip(source));
    }
  }

  /** Chips back to marks, for when passages were given but not cited. */
  unmark(root: ParentNode): void {
    for (const link of root.querySelectorAll<HTMLElement>("a[data-source]")) {
      const number = link.dataset.source ?? "";
      const mark = element("span", "", `[${number}]`);
      mark.dataset.cite = number;
      link.replaceWith(mark);
    }
  }
}

export function sourceList(citations: Citation[]): HTMLElement {
  const section = copyOf("sources");
  const list = need(section, "ol");
  for (const source of citations.map(asSource)) {
    const number = element("span", "chip", String(source.number));
    const name = element("span", "", source.title);
    const link = element("a", "", number, name, element("span", "source-quote", source.where || source.quote));
    link.href = source.url;
    list.append(element("li", "", link));
  }
  return section;
}

function chip(source: Source): HTMLAnchorElement {
  const link = element("a", "chip", String(source.number));
  link.href = source.url;
  link.dataset.source = String(source.number);
  link.setAttribute("aria-label", `Source ${source.number}: ${[source.title, source.where].filter(Boolean).join(", ")}`);
  return link;
}

export function asSource(item: Passage | Citation): Source {
  const heading = withoutTitle(item.heading, item.title);
  const page = item.page ? `page ${item.page}` : "";
  return {
    number: item.number,
    title: item.title,
    where: [heading, page].filter(Boolean).join(", "),
    quote: "quote" in item ? item.quote : item.snippet,
    url: ownPath(item.url),
  };
}

/** "Handbook > Leave > Annual leave" of the document "Handbook" is "Leave › Annual leave". */
function withoutTitle(heading: string, title: string): string {
  const parts = heading.split(" > ");
  if (parts[0] === title) parts.shift();
  return parts.join(" › ");
}

/** The path of a page of ours; anything else leads nowhere. */
function ownPath(url: string): string {
  const { origin, pathname, search } = new URL(url, location.origin);
  return origin === location.origin ? pathname + search : "#";
}
