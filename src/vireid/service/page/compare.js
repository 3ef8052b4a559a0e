// Two pictures side by side: a query picture and a match, or any two of them.

import { $, $$, clock, inline, make } from "./dom.js";
import { heatOf } from "./heat.js";

export function createCompare({ pictures, results, heatable }) {
  const dialog = $("#compare");
  const [left, right] = $$("figure", dialog).map((figure) => ({ figure, select: $("select", figure), at: null }));
  const heat = $(".tools input", dialog);
  let choices = [];

  function open(match) {
    const files = pictures.files.map((file) => ({ name: `Query: ${file.name}`, source: file.url, heat: async () => file.heat }));
    const examples = [...pictures.examples.values()].map((each) => choice(each, "Query: "));
    const ranked = results.matches().map((each, index) => ({ ...choice(each, `${index + 1}: `), ranked: true }));
    choices = [...files, ...examples, ...ranked];
    for (const side of [left, right]) side.select.replaceChildren(...choices.map((each, index) => make("option", { value: index }, each.name)));
    $(".tools label", dialog).hidden = !heatable();
    left.at = choices[0];
    right.at = choices.find((each) => each.ranked && each.match === match);
    draw();
    dialog.showModal();
    $("[data-act=forth]", dialog).focus();
  }

  const choice = (match, before) => ({
    name: `${before}${match.entry.camera || "no camera"}, ${match.score.toFixed(3)}`,
    source: inline(match.thumbnail),
    heat: () => heatOf(match.entry.id),
    match,
  });

  function draw() {
    paint(left);
    paint(right);
    const mark = results.marks.get(right.at.match?.entry.id)?.mark;
    for (const button of $$("[data-act=right], [data-act=wrong]", dialog)) {
      button.ariaPressed = String(button.dataset.act === mark);
      button.disabled = !right.at.ranked;
    }
    right.figure.dataset.mark = mark ?? "";
    const ranked = choices.filter((each) => each.ranked);
    $("[data-act=back]", dialog).disabled = right.at === ranked[0];
    $("[data-act=forth]", dialog).disabled = right.at === ranked.at(-1);
  }

  async function paint({ figure, select, at }) {
    select.value = choices.indexOf(at);
    const image = $("img", figure);
    image.src = at.source;
    image.alt = at.name;
    $("figcaption", figure).replaceChildren(...caption(at.match));
    if (!heat.checked || !heatable()) return;
    const url = await at.heat();
    if (!url) $("figcaption", figure).append(make("span", { className: "note" }, "no heat map"));
    else if (select.value === String(choices.indexOf(at)) && heat.checked) image.src = url;
  }

  function caption(match) {
    if (!match) return [make("b", {}, "Query"), make("span", {}, "your picture")];
    const { entry, score } = match;
    const track = entry.track ? ` · track ${entry.track}` : "";
    const lines = [`${entry.camera || "no camera"} · ${entry.modality}${track}`, clock(entry.time) || "no time", entry.name];
    return [make("b", {}, `Similarity ${score.toFixed(3)}`), ...lines.map((line) => make("span", {}, line))];
  }

  function step(by) {
    const ranked = choices.filter((each) => each.ranked);
    right.at = ranked[ranked.indexOf(right.at) + by] ?? right.at;
    draw();
  }

  const acts = {
    back: () => step(-1),
    forth: () => step(1),
    right: () => judge("right"),
    wrong: () => judge("wrong"),
    heat() {
      heat.checked = !heat.checked && heatable();
      draw();
    },
  };

  function judge(mark) {
    if (right.at.ranked) results.mark(right.at.match, mark);
    draw();
  }

  for (const side of [left, right]) {
    side.select.addEventListener("change", () => {
      side.at = choices[side.select.value];
      draw();
    });
  }
  heat.addEventListener("change", draw);
  dialog.addEventListener("click", (event) => acts[event.target.dataset.act]?.());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = acts[{ ArrowLeft: "back", ArrowRight: "forth", r: "right", w: "wrong", h: "heat" }[event.key]];
    if (act) event.preventDefault();
    act?.();
  });
  dialog.addEventListener("close", () => results.focus(right.at.match));

  return open;
}
