// The chat page: carries what the reader does to the socket, and what the socket says to the answers.
import { refreshConversations, showTitle } from "../conversations";
import { copyOf, need } from "../dom";
import { Answer } from "./answer";
import { Composer } from "./composer";
import { watchCopies } from "./copy";
import type { Conversation, Failure, ReplyEvent, ServerEvent } from "./events";
import { watchFeedback } from "./feedback";
import { PassageCard } from "./passage-card";
import { whenToAskAgain } from "./resets";
import { Scroll } from "./scroll";
import type { Connection } from "./socket";
import { ChatSocket } from "./socket";

interface Asked {
  id: string;
  text: string;
  question: HTMLElement;
  answer: Answer;
}

export class ChatPage {
  private readonly messages: HTMLElement;
  private readonly status: HTMLElement;
  private readonly scroll: Scroll;
  private readonly composer: Composer | null; // none where questions are switched off
  private readonly socket: ChatSocket;
  private readonly answers = new Map<string, Answer>(); // by reply
  private readonly asked = new Map<string, Asked>(); // by the question's id, until it is accepted
  private conversation: string | null;

  constructor(private readonly root: HTMLElement) {
    this.conversation = root.dataset.conversation || null;
    this.messages = need(root, "[data-messages]");
    this.status = need(root, "[data-status-line]");
    this.scroll = new Scroll(need(root, "[data-scroll]"), need(root, "[data-to-latest]"));
    const form = root.querySelector<HTMLFormElement>("[data-composer]");
    const on = { send: (text: string) => this.ask(text), stop: () => this.stop() };
    this.composer = form && new Composer(form, on);
    for (const article of this.messages.querySelectorAll<HTMLElement>("[data-reply]")) this.adopt(article);
    this.socket = new ChatSocket(root.dataset.socketPath ?? "", {
      event: (event) => this.hear(event),
      open: () => this.rejoin(),
      connection: (state) => this.showConnection(state),
    });
    new PassageCard(need(root, "[data-scroll]"), (chip) =>
      this.answerOf(chip)?.sources.get(Number(chip.dataset.source)),
    );
    watchCopies(this.messages, (article) => this.answerOf(article)?.source ?? "");
    watchFeedback(this.messages, (text) => this.tell(text));
    root.addEventListener("click", (event) => this.clicked(event.target as Element));
    this.settled();
    this.scroll.toEnd();
    this.composer?.focus();
  }

  private ask(text: string): void {
    const id = crypto.randomUUID?.() ?? randomUuid();
    const question = copyOf("question");
    need(question, "[data-text]").textContent = text;
    const answer = Answer.begin(() => this.scroll.follow());
    this.root.querySelector("[data-empty]")?.remove();
    this.messages.append(question, answer.root);
    this.asked.set(id, { id, text, question, answer });
    this.socket.send({ type: "ask", id, conversation: this.conversation, text });
    if (this.composer) this.composer.answering = true;
    this.scroll.toEnd();
    this.tell("Question sent");
  }

  private stop(): void {
    for (const { answer } of this.asked.values()) answer.isStopping = true;
    for (const [reply, answer] of this.answers) {
      answer.isStopping = answer.isOpen;
      if (answer.isOpen) this.socket.send({ type: "stop", reply });
    }
    this.tell("Stopping");
  }

  private hear(event: ServerEvent): void {
    if (event.type === "accepted") {
      this.accepted(event.id, event.reply, event.conversation);
    } else if (event.reply === null || !this.answers.has(event.reply)) {
      if (event.type === "error" && "id" in event && event.id) this.refused(event.id, event);
    } else {
      this.heard(event as ReplyEvent);
    }
    this.settled();
  }

  private heard(event: ReplyEvent): void {
    const answer = this.answers.get(event.reply);
    if (!answer) return;
    const wasOpen = answer.isOpen;
    answer.hear(event);
    this.scroll.follow();
    if (event.type === "error") this.tell(sentence(event));
    if (event.type === "restart") this.tell("Starting again with another model");
    if (event.type === "done" && wasOpen) {
      const labels = (event.notes ?? []).map((note) => note.label);
      this.tell([event.status === "stopped" ? "Answer stopped" : "Answer complete", ...labels].join(". "));
    }
  }

  private accepted(id: string, reply: string, conversation: Conversation): void {
    const asked = this.asked.get(id);
    if (!asked) return;
    this.asked.delete(id);
    asked.answer.replyId = reply;
    this.answers.set(reply, asked.answer);
    if (asked.answer.isStopping) this.socket.send({ type: "stop", reply });
    if (this.conversation !== conversation.id) this.enter(conversation);
    else void refreshConversations();
  }

  /** The first question began a conversation: it now has an address. */
  private enter(conversation: Conversation): void {
    this.conversation = conversation.id;
    history.replaceState(null, "", conversation.url);
    showTitle(conversation.title);
    void refreshConversations();
  }

  private refused(id: string, failure: Extract<ServerEvent, { type: "error" }>): void {
    const asked = this.asked.get(id);
    if (!asked) return;
    this.asked.delete(id);
    asked.question.dataset.state = "failed";
    asked.answer.fail(failure);
    this.scroll.follow();
    this.tell(sentence(failure));
  }

  /** At every connection: follow what is streaming, ask (again) what was not confirmed. The id tells a repeat. */
  private rejoin(): void {
    for (const [reply, answer] of this.answers) {
      if (!answer.isOpen) continue;
      this.socket.send({ type: "follow", reply, cursor: answer.cursor });
      if (answer.isStopping) this.socket.send({ type: "stop", reply });
    }
    for (const { id, text } of this.asked.values()) {
      this.socket.send({ type: "ask", id, conversation: this.conversation, text });
    }
  }

  private adopt(article: HTMLElement): void {
    const answer = new Answer(article, () => this.scroll.follow());
    this.answers.set(answer.replyId, answer);
  }

  private answerOf(part: Element): Answer | undefined {
    return this.answers.get(part.closest<HTMLElement>("[data-reply]")?.dataset.reply ?? "");
  }

  private clicked(target: Element): void {
    const example = target.closest<HTMLElement>("[data-example]");
    if (example) this.ask(example.dataset.example ?? "");
    const again = target.closest("[data-ask-again]")?.closest("[data-answer]")?.previousElementSibling;
    const text = again?.querySelector("[data-text]")?.textContent?.trim();
    if (text && !this.isAnswering) this.ask(text);
    if (target.closest("[data-reconnect]")) this.socket.reconnectNow();
  }

  private get isAnswering(): boolean {
    return this.asked.size > 0 || [...this.answers.values()].some((answer) => answer.isOpen);
  }

  private settled(): void {
    if (this.composer) this.composer.answering = this.isAnswering;
  }

  private showConnection(state: Connection): void {
    need(this.root, "[data-connection-lost]").hidden = state !== "lost";
    need(this.root, "[data-connection-refused]").hidden = state !== "refused";
  }

  private tell(text: string): void {
    this.status.textContent = text;
  }
}

/** A failure, for who hears the page. */
function sentence(failure: Failure): string {
  return [failure.message, failure.action, whenToAskAgain(failure.resets_at ?? "", new Date())].filter(Boolean).join(" ");
}

/** crypto.randomUUID exists only on https and localhost. */
function randomUuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
