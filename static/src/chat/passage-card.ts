// The card beside a chip: which passage it stands for. It opens on hover and focus, and on a touch first.
import { copyOf, need } from "../dom";
import { place } from "../menus";
import type { Source } from "./sources";

const OPEN_MS = 120;
const CLOSE_MS = 180;

export class PassageCard {
  private readonly card = copyOf("passage-card");
  private chip: HTMLElement | null = null;
  private timer = 0;

  /** `sourceOf` finds the source of a chip inside `root`. */
  constructor(
    root: HTMLElement,
    private readonly sourceOf: (chip: HTMLElement) => Source | undefined,
  ) {
    document.body.append(this.card);
    root.addEventListener("mouseover", (event) => this.later(chipOf(event), OPEN_MS));
    root.addEventListener("mouseout", () => this.later(null, CLOSE_MS));
    root.addEventListener("focusin", (event) => {
      const chip = chipOf(event);
      if (chip?.matches(":focus-visible")) this.later(chip, 0);
    });
    root.addEventListener("focusout", () => this.later(null, CLOSE_MS));
    root.addEventListener("click", (event) => this.touched(event));
    root.addEventListener("scroll", () => this.show(null), { passive: true });
    this.card.addEventListener("mouseenter", () => clearTimeout(this.timer));
    this.card.addEventListener("mouseleave", () => this.later(null, CLOSE_MS));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.show(null));
    document.addEventListener("pointerdown", (event) => {
      const target = event.target as Element;
      if (!this.card.contains(target) && !target.closest("[data-source]")) this.show(null);
    });
  }

  private touched(event: MouseEvent): void {
    const chip = chipOf(event);
    const isTouch = event instanceof PointerEvent && event.pointerType === "touch";
    if (!chip || !isTouch || this.chip === chip) return;
    event.preventDefault();
    this.show(chip);
  }

  private later(chip: HTMLElement | null, delay: number): void {
    if (chip === null && this.chip === null) {
      clearTimeout(this.timer);
      return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(chip), delay);
  }

  private show(chip: HTMLElement | null): void {
    clearTimeout(this.timer);
    if (chip === this.chip) return;
    this.chip?.removeAttribute("aria-describedby");
    const source = chip?.isConnected ? this.sourceOf(chip) : undefined;
    this.chip = source ? chip : null;
    if (!chip || !source) {
      this.card.hidePopover();
      return;
    }
    need(this.card, "[data-title]").textContent = source.title;
    need(this.card, "[data-where]").textContent = source.where;
    need(this.card, "[data-quote]").textContent = source.quote;
    need<HTMLAnchorElement>(this.card, "[data-open]").href = source.url;
    this.card.showPopover();
    place(this.card, chip.getBoundingClientRect());
    chip.setAttribute("aria-describedby", this.card.id);
  }
}

function chipOf(event: Event): HTMLElement | null {
  return (event.target as Element).closest<HTMLElement>("a.chip[data-source]");
}
