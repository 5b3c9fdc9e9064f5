// The dialect of Markdown that answers are read in: GitHub's, without HTML or images, with citation marks.
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import type { Tokens } from "marked";
import { Marked } from "marked";

const LANGUAGES = { bash, css, diff, go, javascript, json, python, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

const LONGEST_HIGHLIGHTED = 20_000;
const CITATION = /^\[(\d{1,3}(?:, ?\d{1,3})*)\](?!\()/;
const NUMBERED_DEFINITION = /^ {0,3}\[\d+\]:/;

export const marked = new Marked({
  gfm: true,
  async: false,
  extensions: [
    {
      name: "citation",
      level: "inline",
      start: (source: string) => source.match(/\[\d/)?.index,
      tokenizer(source: string) {
        const match = CITATION.exec(source);
        return match ? { type: "citation", raw: match[0], numbers: (match[1] ?? "").split(/, ?/) } : undefined;
      },
      renderer: (token) =>
        (token as Tokens.Generic & { numbers: string[] }).numbers
          .map((number) => `<span data-cite="${number}">[${number}]</span>`)
          .join(""),
    },
  ],
  tokenizer: {
    def(source) {
      // "[1]: Handbook" lists a source; it defines no link.
      return NUMBERED_DEFINITION.test(source) ? undefined : false;
    },
  },
  renderer: {
    code({ text, lang }) {
      const language = (lang ?? "").trim().split(/\s/)[0]?.toLowerCase() ?? "";
      const isKnown = hljs.getLanguage(language) && text.length <= LONGEST_HIGHLIGHTED;
      const html = isKnown ? hljs.highlight(text, { language, ignoreIllegals: true }).value : escape(text);
      return `<pre data-language="${escape(language)}"><code>${html}\n</code></pre>\n`;
    },
    html: ({ text }) => escape(text),
    // An image would be fetched without the reader's doing, and tell its server what was asked.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
