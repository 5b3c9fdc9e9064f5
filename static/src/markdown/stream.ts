// An answer on the page while it streams: final blocks are made once, only the last one is made again.
import { Blocks } from "./blocks";
import { mend } from "./mend";
import { renderMarkdown, renderTokens } from "./render";
import { marked } from "./syntax";

export class StreamedMarkdown {
  text = "";
  private blocks = new Blocks(marked);
  private pending = "";
  private tail: ChildNode[] = [];
  private frame = 0;

  /** `onRender` runs after each change with the nodes that are new. */
  constructor(
    private readonly place: HTMLElement,
    private readonly onRender: (fresh: DocumentFragment) => void,
    private readonly afterRender: () => void = () => {},
  ) {
    place.textContent = "";
    place.dataset.rendered = "";
  }

  append(text: string): void {
    this.text += text;
    this.pending += text;
    this.frame ||= requestAnimationFrame(() => this.render());
  }

  restart(): void {
    this.cancel();
    this.text = this.pending = "";
    this.blocks = new Blocks(marked);
    this.tail = [];
    this.place.replaceChildren();
    this.place.dataset.streaming = "";
  }

  /** The text is complete: show it exactly as it is. */
  finish(): void {
    this.cancel();
    this.render(true);
    delete this.place.dataset.streaming;
    if (this.blocks.hasDefinitions) this.show(renderMarkdown(this.text), [...this.place.childNodes]);
  }

  private cancel(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private render(isLast = false): void {
    this.frame = 0;
    const cut = this.blocks.push(this.pending);
    this.pending = "";
    if (!isLast) this.place.dataset.streaming = "";
    if (cut.settled.length > 0) {
      this.show(renderTokens(cut.settled), this.tail);
      this.tail = [];
    }
    const tail = isLast ? cut.tail : this.blocks.lex(mend(this.blocks.tailText));
    this.tail = this.show(renderTokens(tail), this.tail);
    this.afterRender();
  }

  private show(fragment: DocumentFragment, instead: ChildNode[]): ChildNode[] {
    this.onRender(fragment);
    const fresh = [...fragment.childNodes];
    for (const node of instead) node.remove();
    this.place.append(fragment);
    return fresh;
  }
}
