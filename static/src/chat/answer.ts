// One answer on the page, from the first wait to its sources. Each event of the server is one method.
import { copyOf, need } from "../dom";
import { StreamedMarkdown } from "../markdown/stream";
import type { Citation, Failure, Meta, Note, Passage, ReplyEvent } from "./events";
import { showMeta } from "./meta";
import { showNotes } from "./notes";
import { whenToAskAgain } from "./resets";
import { sourceList, Sources } from "./sources";

const SLOW_MS = 9_000;
const UNNAMED = "00000000-0000-0000-0000-000000000000"; // in the addresses of an answer that has no name yet

export class Answer {
  cursor = "0";
  isOpen = false;
  isStopping = false;
  readonly sources = new Sources();
  private readonly progress: HTMLElement;
  private readonly text: HTMLElement;
  private readonly markdown: StreamedMarkdown;
  private slow = 0;

  constructor(
    readonly root: HTMLElement,
    grew: () => void,
  ) {
    this.progress = need(root, "[data-progress]");
    this.text = need(root, "[data-text]");
    const stored = this.text.textContent ?? "";
    this.sources.learn(JSON.parse(root.dataset.citations || "[]") as Citation[]);
    this.markdown = new StreamedMarkdown(this.text, (fresh) => this.sources.markUp(fresh), grew);
    if (root.dataset.status === "streaming") this.open();
    else this.restore(stored.trim());
  }

  get replyId(): string {
    return this.root.dataset.reply ?? "";
  }

  /** The server's name for an answer that began here. */
  set replyId(id: string) {
    this.root.dataset.reply = id;
    for (const name of ["action", "formaction"])
      for (const each of this.root.querySelectorAll(`[${name}]`))
        each.setAttribute(name, (each.getAttribute(name) ?? "").replace(UNNAMED, id));
  }

  get source(): string {
    return this.markdown.text;
  }

  /** An answer to a question that was just sent. */
  static begin(grew: () => void): Answer {
    return new Answer(copyOf("answer"), grew);
  }

  hear(event: ReplyEvent): void {
    this.cursor = event.cursor ?? this.cursor; // a refusal has none
    if (event.type === "waiting") this.say("Waiting");
    else if (event.type === "passages") this.found(event.passages);
    else if (event.type === "delta") this.delta(event.text);
    else if (event.type === "restart") this.restart();
    else if (event.type === "done") this.done(event.status, event.citations, event);
    else this.fail(event);
  }

  say(text: string): void {
    this.progress.hidden = false;
    this.progress.textContent = text;
  }

  fail(failure: Failure): void {
    this.close("failed");
    const card = need(this.root, "[data-failure]");
    need(card, "[data-message]").textContent = failure.message;
    need(card, "[data-action]").textContent = failure.action;
    this.showReset(failure.resets_at ?? "");
    card.hidden = false;
    this.note(failure.notes);
    need(this.root, "[data-foot]").hidden = this.source === "";
    need(this.root, "[data-thumbs]").hidden = true;
  }

  private open(): void {
    this.isOpen = true;
    this.root.setAttribute("aria-busy", "true");
    this.say("Waiting");
    this.expect();
  }

  private expect(): void {
    clearTimeout(this.slow);
    this.slow = setTimeout(() => this.say("Still waiting: the model may be slow or unavailable"), SLOW_MS);
  }

  private found(passages: Passage[]): void {
    this.sources.learn(passages);
    if (this.source || passages.length === 0) return;
    const titles = new Set(passages.map((passage) => passage.title));
    const where = titles.size === 1 ? [...titles][0] : `${titles.size} documents`;
    this.say(`Reading ${passages.length === 1 ? "a passage" : `${passages.length} passages`} of ${where}`);
  }

  private delta(text: string): void {
    if (!text) return;
    clearTimeout(this.slow);
    this.progress.hidden = true;
    this.markdown.append(text);
  }

  private restart(): void {
    this.markdown.restart();
    this.say("Starting again with another model");
    this.expect();
  }

  private done(status: string, citations: Citation[], meta: Meta): void {
    this.close(status);
    this.settle(citations);
    showMeta(need(this.root, "[data-meta]"), meta);
    need(this.root, "[data-foot]").hidden = false;
    need(this.root, "[data-stopped]").hidden = status !== "stopped";
    this.note(meta.notes);
  }

  private note(notes: Note[] | undefined): void {
    showNotes(need(this.root, "[data-notes]"), notes ?? []);
  }

  /** In the reader's own zone; where there is no time nothing is said. */
  private showReset(resetsAt: string): void {
    const place = need<HTMLTimeElement>(this.root, "[data-resets]");
    place.dateTime = resetsAt;
    place.textContent = whenToAskAgain(resetsAt, new Date());
  }

  private settle(citations: Citation[]): void {
    this.sources.unmark(this.text);
    this.sources.settle(citations);
    this.sources.markUp(this.text);
    if (citations.length > 0) need(this.root, "[data-sources]").replaceChildren(sourceList(citations));
  }

  private close(status: string): void {
    clearTimeout(this.slow);
    this.isOpen = false;
    this.progress.hidden = true;
    this.markdown.finish();
    this.text.hidden = this.source === "";
    this.root.dataset.status = status;
    this.root.removeAttribute("aria-busy");
  }

  /** From the page as the server rendered it. */
  private restore(text: string): void {
    this.markdown.append(text);
    this.close(this.root.dataset.status ?? "ok");
    this.settle(JSON.parse(this.root.dataset.citations || "[]") as Citation[]);
    const resetsAt = need<HTMLTimeElement>(this.root, "[data-resets]").dateTime;
    if (resetsAt) this.showReset(resetsAt);
    const meta = need(this.root, "[data-meta]");
    const { model, provider, cost, saved, latency, inputTokens, outputTokens } = meta.dataset;
    if (model || saved) {
      showMeta(meta, {
        ...(model ? { model } : {}),
        ...(saved ? { saved_usd: saved } : {}),
        ...(provider ? { provider } : {}),
        cost_usd: cost || null,
        latency_ms: latency ? Number(latency) : null,
        usage: { input_tokens: Number(inputTokens), output_tokens: Number(outputTokens) },
      });
    }
  }
}
