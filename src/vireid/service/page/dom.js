// Small helpers. Text from outside becomes only text nodes and attributes, never markup.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
export const copy = (template) => $(`#${template}`).content.firstElementChild.cloneNode(true);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A picture inside an answer: a data URL of a raster image, or an empty string. */
export const inline = (url) => (/^data:image\/(jpeg|png|webp);base64,[\w+/=]+$/.test(url ?? "") ? url : "");

const two = (number) => String(number).padStart(2, "0");

/** `2026-11-24 03:12:05` in this computer's time zone. */
export function clock(iso) {
  const at = new Date(iso);
  if (!iso || Number.isNaN(at.getTime())) return "";
  return `${day(at)} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `23 Nov 21:14`, with the year unless it is the current one: for a card, where space is short. */
export function brief(iso) {
  const at = new Date(iso);
  if (!iso || Number.isNaN(at.getTime())) return "";
  const month = at.toLocaleString("en", { month: "short" });
  const year = at.getFullYear() === new Date().getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${at.getDate()} ${month}${year} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** The value of an `<input type="datetime-local">` for a point in time, to the minute. */
export const minute = (at) => `${day(at)}T${two(at.getHours())}:${two(at.getMinutes())}`;

const day = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** Announce a text to screen readers without moving the focus. */
export function say(text) {
  $("#status").textContent = text;
}
