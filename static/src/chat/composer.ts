// Where a question is written: Enter sends, Shift+Enter begins a line, Escape stops the answer under way.
import { need } from "../dom";

export class Composer {
  private readonly field: HTMLTextAreaElement;
  private readonly sendButton: HTMLButtonElement;
  private readonly stopButton: HTMLButtonElement;
  private isAnswering = false;

  constructor(
    form: HTMLFormElement,
    private readonly on: { send: (text: string) => void; stop: () => void },
  ) {
    this.field = need<HTMLTextAreaElement>(form, "textarea");
    this.sendButton = need<HTMLButtonElement>(form, "[data-send]");
    this.stopButton = need<HTMLButtonElement>(form, "[data-stop]");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.stopButton.addEventListener("click", () => this.stop());
    this.field.addEventListener("input", () => this.update());
    this.field.addEventListener("keydown", (event) => this.pressed(event));
    document.addEventListener("keydown", (event) => this.escaped(event));
    this.update();
  }

  set answering(isAnswering: boolean) {
    const hasEnded = this.isAnswering && !isAnswering;
    const isFocusFree = document.activeElement === this.stopButton || document.activeElement === document.body;
    this.isAnswering = isAnswering;
    this.update();
    if (hasEnded && isFocusFree) this.focus();
  }

  /** Not on a touch screen, where the keyboard would cover the answer. */
  focus(): void {
    if (matchMedia("(hover: hover)").matches) this.field.focus({ preventScroll: true });
  }

  private pressed(event: KeyboardEvent): void {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // composing: an input method's Enter
    event.preventDefault();
    this.send();
  }

  private escaped(event: KeyboardEvent): void {
    const isTaken = event.defaultPrevented || document.querySelector("dialog[open], :popover-open");
    if (event.key === "Escape" && this.isAnswering && !isTaken) this.stop();
  }

  private send(): void {
    const text = this.field.value.trim();
    if (!text || this.isAnswering) return;
    this.field.value = "";
    this.update();
    this.on.send(text);
  }

  private stop(): void {
    this.stopButton.disabled = true;
    this.on.stop();
  }

  private update(): void {
    this.sendButton.hidden = this.isAnswering;
    this.stopButton.hidden = !this.isAnswering;
    if (!this.isAnswering) this.stopButton.disabled = false;
    this.sendButton.disabled = this.field.value.trim() === "";
    if (!CSS.supports("field-sizing", "content")) {
      this.field.style.height = "auto";
      this.field.style.height = `${this.field.scrollHeight}px`;
    }
  }
}
