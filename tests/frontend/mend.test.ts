import { expect, test } from "vitest";
import { mend } from "../../static/src/markdown/mend";

test.each([
  ["Leave is **25 da", "Leave is **25 da**"],
  ["Leave is **", "Leave is"],
  ["Leave is **25 days**", "Leave is **25 days**"],
  ["an *empha", "an *empha*"],
  ["5*3 and 2 * 4", "5*3 and 2 * 4"],
  ["***both", "***both***"],
  ["run `make ru", "run `make ru`"],
  ["a [link](https://exam", "a link"],
  ["a [lin", "a lin"],
  ["![picture](https://exam", "picture"],
  ["rests on [1", "rests on"],
  ["rests on [1]", "rests on [1]"],
  ["rests on [1, 2", "rests on"],
  ["- one\n- ", "- one"],
  ["* one\n* two", "* one\n* two"],
  ["~~gone", "~~gone~~"],
  ["Text\n--", "Text"],
])("%j is shown as %j", (text, shown) => {
  expect(mend(text)).toBe(shown);
});

test("a table is held back until its second line is there", () => {
  expect(mend("| a | b |")).toBe("");
  expect(mend("| a | b |\n|--")).toBe("");
  expect(mend("| a | b |\n|---|---|\n| 1")).toContain("| 1");
});

test("code is left as it is", () => {
  expect(mend("```python\na = b**")).toBe("```python\na = b**");
});
