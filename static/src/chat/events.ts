// What the page and the server say to each other over the chat socket.

export interface Passage {
  number: number;
  title: string;
  heading: string;
  page: number | null;
  url: string;
  snippet: string;
}

export interface Citation extends Omit<Passage, "snippet"> {
  chunk: string;
  document: string;
  quote: string;
}

export interface Conversation {
  id: string;
  title: string;
  url: string;
  is_new: boolean;
}

/** What a reader should know of how an answer came to be. */
export interface Note {
  label: string;
  detail: string;
}

export interface Meta {
  model?: string;
  provider?: string;
  cost_usd?: string | null;
  saved_usd?: string;
  latency_ms?: number | null;
  usage?: { input_tokens: number; output_tokens: number };
  notes?: Note[];
}

export interface Failure {
  code: string;
  message: string;
  action: string;
  resets_at?: string | null;
  notes?: Note[];
}

export type ReplyEvent = { reply: string; cursor: string } & (
  | { type: "waiting" }
  | { type: "passages"; passages: Passage[] }
  | { type: "delta"; text: string }
  | { type: "restart" }
  | ({ type: "done"; status: "ok" | "stopped"; citations: Citation[] } & Meta)
  | ({ type: "error" } & Failure)
);

export type ServerEvent =
  | ReplyEvent
  | { type: "accepted"; id: string; conversation: Conversation; reply: string }
  | ({ type: "error"; id?: string | null; reply: null } & Failure);

export type ClientFrame =
  | { type: "ask"; id: string; conversation: string | null; text: string }
  | { type: "stop"; reply: string }
  | { type: "follow"; reply: string; cursor: string };
