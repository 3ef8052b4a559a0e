// The ranked matches as a grid of cards, their marks, and the keys that work there.

import { $, $$, brief, clock, copy, count, inline, make, say } from "./dom.js";
import { warm } from "./heat.js";

/** `marks` maps ids to {mark: "right" or "wrong", match}; it outlives an answer. */
export function createResults({ marked, compare, heatWanted }) {
  const grid = $("#grid");
  const marks = new Map();
  let matches = [];
  let threshold = null;
  let modality = ""; // of the query pictures
  let quiet = false; // no heat map when the page itself moves the focus

  function show(found, taken) {
    matches = found;
    modality = taken;
    grid.replaceChildren(...matches.map(card));
    const first = grid.firstElementChild;
    if (first) rove(first);
    judge();
    cut();
  }

  function card(match, index) {
    const { entry } = match;
    const item = copy("card-template");
    item.dataset.index = index;
    const picture = inline(match.thumbnail);
    if (picture) $("img", item).src = picture;
    $(".rank", item).textContent = index + 1;
    $(".kind", item).textContent = entry.modality === "infrared" ? "IR" : "VIS";
    $(".score b", item).textContent = match.score.toFixed(3);
    item.style.setProperty("--score", Math.max(0, Math.min(1, match.score)));
    $(".camera", item).textContent = entry.camera || "no camera";
    $(".time", item).textContent = brief(entry.time) || "no time";
    item.title = [entry.name, clock(entry.time), entry.track && `track ${entry.track}`].filter(Boolean).join(" · ");
    group(item, match);
    warm(item, entry.id, () => !quiet && heatWanted());
    item.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      rove(item);
      if (button?.dataset.mark) toggle(item, button.dataset.mark);
      else if (button || event.target.closest(".picture")) compare(match);
    });
    return item;
  }

  function group(item, match) {
    const others = rest(match);
    if (!others.length) return;
    const list = $(".group", item);
    list.hidden = false;
    list.append(
      ...others.slice(0, 4).map((other) => {
        const title = `${other.score.toFixed(3)} · ${clock(other.entry.time)}`;
        return make("li", {}, make("img", { src: inline(other.thumbnail), alt: title, title }));
      }),
      make("li", { className: "note" }, `${others.length + 1} of this track`),
    );
  }

  function toggle(item, mark) {
    const match = matches[item.dataset.index];
    const off = marks.get(match.entry.id)?.mark === mark;
    for (const each of [match, ...rest(match)]) {
      if (off) marks.delete(each.entry.id);
      else marks.set(each.entry.id, { mark, match: each });
    }
    judge();
    say(off ? `Rank ${rankOf(item)}: no mark` : `Rank ${rankOf(item)} marked ${mark}`);
    marked();
  }

  const rankOf = (item) => Number(item.dataset.index) + 1;

  /** Show the marks on the cards, also in words. */
  function judge() {
    for (const item of cards()) {
      const match = matches[item.dataset.index];
      const mark = marks.get(match.entry.id)?.mark ?? "";
      item.dataset.mark = mark;
      $(".sign", item).textContent = { right: "✓", wrong: "✗" }[mark] ?? "";
      for (const button of $$("[data-mark]", item)) button.ariaPressed = String(button.dataset.mark === mark);
      label(item, match, mark);
    }
  }

  function label(item, match, mark) {
    const { entry, score } = match;
    const parts = [`Rank ${rankOf(item)}`, `similarity ${score.toFixed(3)}`];
    const over = above(match);
    if (over !== null) parts.push(`${over ? "above" : "below"} the threshold`);
    parts.push(entry.camera ? `camera ${entry.camera}` : "no camera", entry.modality, clock(entry.time) || "no time");
    if (mark) parts.push(`marked ${mark}`);
    item.setAttribute("aria-label", parts.join(", "));
  }

  /** The threshold applies between the modalities: for two pictures of the same one the result is null. */
  const above = ({ entry, score }) => (threshold === null || entry.modality === modality ? null : score >= threshold);

  /** Mark the threshold on the cards, and as a line if it applies to all of them and the list is sorted by score. */
  function cut() {
    $(".cut", grid)?.remove();
    for (const item of cards()) {
      const over = above(matches[item.dataset.index]);
      item.classList.toggle("calibrated", over !== null);
      item.classList.toggle("below", over === false);
      $(".side", item).textContent = over === null ? "" : over ? "▲" : "▽";
      $(".side", item).title = over === null ? "" : `${over ? "above" : "below"} the threshold ${threshold.toFixed(3)}`;
      item.style.setProperty("--threshold", Math.max(0, Math.min(1, threshold ?? 0)));
    }
    const scores = matches.map((match) => match.score);
    const descends = scores.every((score, index) => !index || score <= scores[index - 1]);
    if (!scores.length || !descends || matches.map(above).includes(null)) return;
    const over = matches.filter(above).length;
    const words = over === scores.length ? "All" : over ? `${over} of ${scores.length}` : "None";
    const line = make("li", { className: "cut" }, make("span", {}, `${words} above the threshold ${threshold.toFixed(3)}`));
    grid.insertBefore(line, cards()[over] ?? null);
  }

  const cards = () => $$(".card", grid);

  /** Only one card is in the tab order: the last one visited. */
  function rove(item) {
    for (const other of cards()) {
      const here = other === item;
      other.tabIndex = here ? 0 : -1;
      for (const button of $$("button", other)) button.tabIndex = here ? 0 : -1;
    }
  }

  function go(item) {
    if (!item) return;
    rove(item);
    item.focus({ preventScroll: true });
    if (item === cards()[0]) $("#results").scrollTo(0, 0); // shows what is above the grid, too
    item.scrollIntoView({ block: "nearest" });
  }

  /** The card one row above or below, in the grid's current layout. */
  function beside(item, down) {
    const { top, left } = item.getBoundingClientRect();
    const ahead = cards().filter((other) => (down ? other.getBoundingClientRect().top > top + 1 : other.getBoundingClientRect().top < top - 1));
    const tops = ahead.map((other) => other.getBoundingClientRect().top);
    const next = down ? Math.min(...tops) : Math.max(...tops);
    const line = ahead.filter((other) => Math.abs(other.getBoundingClientRect().top - next) < 1);
    return line.find((other) => other.getBoundingClientRect().left >= left - 1) ?? line.at(-1);
  }

  grid.addEventListener("keydown", (event) => {
    const item = event.target.closest(".card");
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = cards();
    const at = all.indexOf(item);
    const act = {
      ArrowRight: () => go(all[at + 1]),
      ArrowLeft: () => go(all[at - 1]),
      ArrowDown: () => go(beside(item, true)),
      ArrowUp: () => go(beside(item, false)),
      Home: () => go(all[0]),
      End: () => go(all.at(-1)),
      r: () => toggle(item, "right"),
      w: () => toggle(item, "wrong"),
      c: () => compare(matches[item.dataset.index]),
      Enter: event.target === item && (() => compare(matches[item.dataset.index])),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  return {
    marks,
    show,
    judge,
    above,
    matches: () => matches,
    mark: (match, mark) => toggle(cards()[matches.indexOf(match)], mark),
    summary: (mark) => count([...marks.values()].filter((each) => each.mark === mark).length, mark, mark),
    setThreshold(value) {
      threshold = value;
      judge();
      cut();
    },
    focus(match) {
      quiet = true;
      if (match) go(cards()[matches.indexOf(match)]);
      else cards()[0]?.focus({ preventScroll: true });
      quiet = false;
    },
    reheat: () => document.activeElement.closest(".card")?.dispatchEvent(new Event("reheat")),
  };
}

/** The other pictures of the match's track that were found with it. */
export const rest = (match) => (match.group ?? []).filter((other) => other.entry.id !== match.entry.id);
