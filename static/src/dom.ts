// Finding and making elements.

/** The element a template promises to contain. */
export function need<T extends Element = HTMLElement>(root: ParentNode, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`This page should contain ${selector}.`);
  return found;
}

/** A fresh copy of the one element inside `<template id>`: markup stays in the templates. */
export function copyOf(id: string): HTMLElement {
  const template = need<HTMLTemplateElement>(document, `template#${id}`);
  const first = template.content.firstElementChild;
  if (!first) throw new Error(`template#${id} is empty.`);
  return first.cloneNode(true) as HTMLElement;
}

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}
