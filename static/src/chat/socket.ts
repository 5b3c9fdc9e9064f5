// The chat socket: opens again when it breaks.
import type { ClientFrame, ServerEvent } from "./events";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const CLOSED_FOR_GOOD = new Set([4401, 4403, 4404]);

export type Connection = "open" | "lost" | "refused";

export class ChatSocket {
  private socket: WebSocket | null = null;
  private attempts = 0;
  private timer = 0;

  /** `path` is of this host. `on.open` runs at every connection: nothing is kept for it while there is none. */
  constructor(
    private readonly path: string,
    private readonly on: {
      event: (event: ServerEvent) => void;
      open: () => void;
      connection: (state: Connection) => void;
    },
  ) {
    addEventListener("online", () => this.reconnectNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.reconnectNow();
    });
    this.open();
  }

  send(frame: ClientFrame): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  reconnectNow(): void {
    if (this.socket) return;
    clearTimeout(this.timer);
    this.open();
  }

  private open(): void {
    const socket = new WebSocket(this.path); // relative to the page, so wss: on https:
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.attempts = 0;
      this.on.connection("open");
      this.on.open();
    });
    socket.addEventListener("message", (message) => this.on.event(JSON.parse(message.data) as ServerEvent));
    socket.addEventListener("close", (event) => this.closed(event.code));
  }

  private closed(code: number): void {
    this.socket = null;
    if (CLOSED_FOR_GOOD.has(code)) {
      this.on.connection("refused");
      return;
    }
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this.attempts, LONGEST_DELAY_MS);
    this.attempts += 1;
    if (this.attempts > 1) this.on.connection("lost"); // the first attempt follows at once, and mostly works
    this.timer = setTimeout(() => this.open(), this.attempts === 1 ? 50 : delay * (0.75 + Math.random() / 2));
  }
}
