// What a reader should know of how an answer came to be: given before, begun again, incomplete.
import { element } from "../dom";
import type { Note } from "./events";

export function showNotes(place: HTMLElement, notes: Note[]): void {
  place.hidden = notes.length === 0;
  place.replaceChildren(
    ...notes.map(({ label, detail }) => element("li", "", element("span", "badge", label), ` ${detail}`)),
  );
}
