import { expect, test } from "vitest";
import { whenToAskAgain } from "../../static/src/chat/resets";

const now = new Date("2026-11-21T12:00:00Z");

test.each([
  ["2026-11-21T12:00:40Z", "(in 40 seconds)"],
  ["2026-11-21T12:30:00Z", "(in 30 minutes)"],
  ["2026-11-22T00:00:00+00:00", "(in 12 hours)"],
  ["2026-12-01T00:00:00Z", "(in 10 days)"],
])("a refusal that ends at %s says %s", (resetsAt, distance) => {
  expect(whenToAskAgain(resetsAt, now)).toMatch(/^You can ask again (at|on) .* your time \(in .*\)\.$/);
  expect(whenToAskAgain(resetsAt, now)).toContain(distance);
});

test("one that has ended says so, and one without an end says nothing", () => {
  expect(whenToAskAgain("2026-11-21T11:59:00Z", now)).toBe("You can ask again now.");
  expect(whenToAskAgain("", now)).toBe("");
  expect(whenToAskAgain("nonsense", now)).toBe("");
});
