// Heat maps of gallery images: fetched when somebody looks at an image, kept while the page is open.

import { heatmap } from "./api.js";
import { $ } from "./dom.js";

const HOVER = 220; // milliseconds that the pointer rests on a picture before its heat map is requested
const FOCUS = 700; // longer, so that moving with the arrow keys shows the pictures themselves
const KEPT = 400;
const urls = new Map(); // id -> promise of an object URL, or of "" if the service has none

export function heatOf(id) {
  if (!urls.has(id)) {
    const asked = heatmap(id).then(
      (blob) => URL.createObjectURL(blob),
      (error) => {
        if (error.kind !== "refused") urls.delete(id); // the next attempt may succeed
        return "";
      },
    );
    urls.set(id, asked);
    if (urls.size > KEPT) {
      const [oldest, url] = urls.entries().next().value;
      urls.delete(oldest);
      url.then((old) => old && URL.revokeObjectURL(old));
    }
  }
  return urls.get(id);
}

/** Show a card's heat map while the pointer rests on its picture or the card has the keyboard focus. */
export function warm(card, id, wanted) {
  const picture = $(".picture", card);
  const overlay = $(".heat", card);
  let timer = 0;
  const show = (dwell) => {
    clearTimeout(timer);
    if (!wanted()) return;
    timer = setTimeout(async () => {
      const waiting = timer;
      const url = await heatOf(id);
      if (waiting !== timer) return; // the pointer has moved on
      overlay.src = url;
      overlay.hidden = !url;
      card.classList.toggle("heatless", !url);
    }, dwell);
  };
  const hide = () => {
    clearTimeout(timer);
    timer = 0;
    overlay.hidden = true;
    card.classList.remove("heatless");
  };
  picture.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(HOVER));
  picture.addEventListener("pointerleave", hide);
  card.addEventListener("focus", () => show(FOCUS));
  card.addEventListener("blur", hide);
  card.addEventListener("reheat", () => (wanted() ? show(0) : hide()));
}
