// What an answer took, in few words.
import { element } from "../dom";
import type { Meta } from "./events";

export function describe(meta: Meta): string[] {
  const tokens = meta.usage ? meta.usage.input_tokens + meta.usage.output_tokens : 0;
  return [
    meta.model ?? "",
    cost(meta.cost_usd),
    Number(meta.saved_usd) > 0 ? `${cost(meta.saved_usd)} saved` : "",
    meta.latency_ms == null ? "" : seconds(meta.latency_ms),
    tokens ? `${tokens.toLocaleString()} tokens` : "",
  ].filter(Boolean);
}

export function showMeta(place: HTMLElement, meta: Meta): void {
  place.replaceChildren(...describe(meta).map((text) => element("span", "", text)));
  if (meta.provider) place.title = `Answered by ${meta.provider}`;
}

/** Enough digits to see what a cheap answer cost. */
export function cost(usd: string | null | undefined): string {
  if (usd === undefined) return "";
  if (usd === null || usd === "") return "no price known";
  const amount = Number(usd);
  if (amount === 0) return "$0";
  return amount < 0.01 ? `$${amount.toFixed(6).replace(/0+$/, "")}` : `$${amount.toFixed(4)}`;
}

function seconds(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}
