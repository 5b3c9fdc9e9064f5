// Cuts Markdown that is still arriving into blocks that can no longer change and a tail that can.
import type { MarkedExtension, Token, TokensList } from "marked";
import { Lexer, Marked } from "marked";

export interface Cut {
  /** Blocks that became final since the last cut, in order. */
  settled: Token[];
  /** The last block, which more text may change: empty or one token, with the blank lines after it. */
  tail: Token[];
}

/**
 * Only the text after the last final block is read again, so that a long answer costs no more per delta than a
 * short one. A block is final once another has begun after it: a list or a table may go on after a blank line.
 */
export class Blocks {
  private readonly options: MarkedExtension;
  private rest = "";
  private links: TokensList["links"] = {};

  constructor(marked: Marked) {
    this.options = marked.defaults as MarkedExtension;
  }

  push(text: string): Cut {
    this.rest += text;
    const tokens = this.lex(this.rest);
    const last = tokens.findLastIndex((token) => token.type !== "space");
    const settled = tokens.slice(0, Math.max(0, last));
    const length = settled.reduce((sum, token) => sum + token.raw.length, 0);
    this.rest = this.rest.slice(length);
    return { settled, tail: tokens.slice(Math.max(0, last)) };
  }

  /** The tail's tokens if its text were `text`, which leaves what has arrived as it is. */
  lex(text: string): TokensList {
    const lexer = new Lexer(this.options as ConstructorParameters<typeof Lexer>[0]);
    Object.assign(lexer.tokens.links, this.links);
    const tokens = lexer.lex(text);
    this.links = { ...this.links, ...tokens.links };
    return tokens;
  }

  /** Whether a link was defined somewhere: text before the definition then deserves another look. */
  get hasDefinitions(): boolean {
    return Object.keys(this.links).length > 0;
  }

  get tailText(): string {
    return this.rest;
  }
}
