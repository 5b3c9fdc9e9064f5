import { expect, test } from "vitest";
import { Blocks } from "../../static/src/markdown/blocks";
import { marked } from "../../static/src/markdown/syntax";

function streamed(text: string, size: number): string {
  const blocks = new Blocks(marked);
  let html = "";
  let tail = "";
  for (let at = 0; at < text.length; at += size) {
    const cut = blocks.push(text.slice(at, at + size));
    html += marked.parser(cut.settled);
    tail = marked.parser(cut.tail);
  }
  return html + tail;
}

const ANSWER = `Leave is **25 days** [1].

- one

- two after a blank line
  - nested

1. first
2. second

| a | b |
|---|--:|
| 1 | 2 |

\`\`\`python
# not a heading

def f(): ...
\`\`\`

Title
-----

> quoted
still quoted

Last [2].`;

test.each([1, 2, 3, 7, 40, 1000])("an answer that arrives %i characters at a time reads like the whole", (size) => {
  const whole = marked.parse(ANSWER);

  expect(streamed(ANSWER, size)).toBe(whole);
});

test("a block is final once the next has begun", () => {
  const blocks = new Blocks(marked);

  const first = blocks.push("One.\n\n");
  const second = blocks.push("Two");

  expect(first.settled).toEqual([]);
  expect(second.settled.map((token) => token.raw).join("")).toBe("One.\n\n");
  expect(blocks.tailText).toBe("Two");
});

test("a fence that isn't closed yet is code to the end", () => {
  const blocks = new Blocks(marked);

  const { tail } = blocks.push("Look:\n\n```sql\nSELECT 1;\n\nSELECT 2;");

  expect(tail.map((token) => token.type)).toEqual(["code"]);
  expect(marked.parser(tail)).toContain("hljs-keyword");
});
