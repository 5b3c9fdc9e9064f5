import { expect, test } from "vitest";
import { cost } from "../../static/src/chat/meta";
import { since } from "../../static/src/times";

test.each([
  ["0.000000", "$0"],
  ["0.000042", "$0.000042"],
  ["0.004210", "$0.00421"],
  ["1.5", "$1.5000"],
  [null, "no price known"],
  [undefined, ""],
])("a cost of %j is written %j", (usd, written) => {
  expect(cost(usd)).toBe(written);
});

test("a moment is told by its distance, until it is a week old", () => {
  const now = new Date("2026-11-21T12:00:00Z");

  expect(since(new Date("2026-11-21T11:59:40Z"), now)).toBe("just now");
  expect(since(new Date("2026-11-21T11:55:00Z"), now)).toBe("5 minutes ago");
  expect(since(new Date("2026-11-20T12:00:00Z"), now)).toBe("yesterday");
  expect(since(new Date("2026-11-01T12:00:00Z"), now)).toContain("2026");
});
