// A code block's frame: its language, and a button that copies it.
import { element } from "../dom";

export function codeFigure(block: HTMLPreElement): HTMLElement {
  const button = element("button", "button button-quiet button-small", "Copy");
  button.type = "button";
  button.dataset.copyCode = "";
  block.tabIndex = 0; // long lines scroll with the keyboard
  return element("figure", "code", element("figcaption", "", block.dataset.language || "text", button), block.cloneNode(true));
}
