// The page: signing in, searching, showing the answer, marking matches, and reporting failures.

import { alarm, calm } from "./alarm.js";
import * as api from "./api.js";
import { createCompare } from "./compare.js";
import { $, $$, count, make, say } from "./dom.js";
import { rows, saveCsv, saveJson } from "./export.js";
import { createFilters } from "./filters.js";
import { createPictures } from "./pictures.js";
import { createResults } from "./results.js";

const REFRESH = 60_000; // milliseconds between checks of the gallery's contents
let gallery = null;
let answer = null;
let asked = null; // the query that `answer` answers
let running = null; // the AbortController of the running search
let rate = "0.001"; // false-match rate of the threshold shown; "" for none
let moved = false; // whether a control has changed since the search was sent

const results = createResults({ marked, compare: (match) => compare(match), heatWanted: () => gallery?.heatmaps && $("#heat").checked });
const pictures = createPictures({
  changed: stale,
  refused: (message) => alarm(message),
  takenOut(id) {
    results.marks.delete(id);
    results.judge();
    marked();
  },
});
const filters = createFilters(stale);
const compare = createCompare({ pictures, results, heatable: () => Boolean(gallery?.heatmaps) });

function failed(error, again) {
  if (!(error instanceof api.ServiceError)) {
    alarm("This page cannot show the service's answer: reload the page.");
    throw error;
  }
  if (error.kind === "stopped") return;
  if (error.kind === "token") return askToken(api.hasToken() ? error.message : "");
  if (error.kind === "busy") return alarm(error.message, { label: "Try again", act: again, wait: error.wait });
  alarm(error.message, error.kind === "away" ? { label: "Try again", act: again } : {});
}

// ---- signing in

function askToken(message) {
  api.dropToken();
  $("#desk").hidden = $("#leave").hidden = true;
  $("#facts").textContent = "";
  $("#door").hidden = false;
  $("#token-error").textContent = message;
  $("#token").value = "";
  $("#token").focus();
}

async function enter() {
  try {
    gallery = await api.gallery();
  } catch (error) {
    return error.kind === "refused" ? askToken(error.message) : failed(error, enter);
  }
  calm();
  $("#door").hidden = true;
  $("#desk").hidden = false;
  $("#leave").hidden = !api.hasToken();
  furnish();
}

function furnish() {
  const cameras = count(Object.keys(gallery.cameras).length, "camera");
  $("#facts").textContent = `${count(gallery.images, "image")} · ${cameras} · ${gallery.model}`;
  filters.fill(gallery);
  $("#heat-label").hidden = !gallery.heatmaps;
  if (!answer) invite();
  ready();
}

const thresholds = () => gallery.thresholds[asked?.modality] ?? {};
const threshold = () => thresholds()[$("#threshold").value] ?? null;

/** Offer the thresholds of the direction searched; the selected false-match rate stays selected. */
function calibrate() {
  const scores = thresholds();
  const levels = Object.keys(scores).sort((a, b) => a - b);
  const options = levels.map((level) => make("option", { value: level }, `${scores[level].toFixed(3)} (1 in ${Math.round(1 / level).toLocaleString("en")})`));
  $("#threshold-label").hidden = !levels.length;
  $("#threshold").replaceChildren(...options, make("option", { value: "" }, "none"));
  $("#threshold").value = !rate || rate in scores ? rate : levels[0] ?? "";
  results.setThreshold(threshold());
}

// ---- searching

function ready() {
  $("#search").disabled = !running && !(gallery?.images && pictures.any());
  $("#search").textContent = running ? "Stop" : answer ? "Search again" : "Search";
}

function stale() {
  moved = true;
  $("#stale").hidden = !answer;
  ready();
}

async function search() {
  if (running) return running.abort();
  if (!gallery?.images || !pictures.any() || !$("#query").reportValidity()) return;
  const given = [...pictures.files];
  const query = {
    ...filters.read(),
    examples: [...pictures.examples.keys()],
    not: [...pictures.leftOut.keys()],
    heatmaps: gallery.heatmaps && $("#heat").checked,
  };
  calm();
  const where = filters.words();
  moved = false;
  busy(new AbortController());
  try {
    const found = await api.search(given.map(({ file }) => file), query, running.signal);
    pictures.lay(found.queries, given);
    answer = found;
    asked = { ...query, pictures: given.map(({ name }) => name) };
    present(where);
  } catch (error) {
    failed(error, search);
  } finally {
    busy(null);
  }
}

function busy(controller) {
  running = controller;
  $("#results").ariaBusy = String(Boolean(running));
  document.body.classList.toggle("busy", Boolean(running));
  if (running) say("Searching");
  ready();
}

function present(where) {
  const found = answer.matches;
  $("#stale").hidden = !moved;
  $("#bar").hidden = !found.length;
  $("#empty").replaceChildren();
  results.show(found, asked.modality);
  calibrate();
  marked();
  const among = `in a gallery of ${count(answer.images, "image")}`;
  const text = `${asked.group_by_track ? count(found.length, "track") : count(found.length, "match", "matches")} ${among}`;
  $("#summary").replaceChildren(make("b", {}, text), make("span", {}, ` ${Math.round(answer.milliseconds)} ms${where ? ` · ${where}` : ""}`));
  say(found.length ? `${text}.` : "No match.");
  if (!found.length) return nothing(where);
  const here = document.activeElement;
  if (!here.closest("dialog") && !here.matches("select, input:not([type=radio], [type=checkbox], [type=file])")) results.focus();
  if (matchMedia("(max-width: 50rem)").matches) $("#results").scrollIntoView();
}

function nothing(where) {
  if (!where) return vacant("No match", "Every image in the gallery was left out. Clear some marks and search again.");
  vacant("No match", `No image in the gallery passes the filter: ${where}.`, make("button", { type: "button", onclick: widen }, "Clear where and when, and search"));
}

function widen() {
  filters.clear();
  search();
}

function invite() {
  if (!gallery.images) return vacant("The gallery is empty", "Add images to it first: vireid gallery add STORE IMAGES");
  vacant("Who are you looking for?", "Add one or more pictures of one person. Matches are shown as pictures, best first.");
}

function vacant(title, text, ...more) {
  $("#empty").replaceChildren(make("h2", {}, title), make("p", {}, text), ...more);
}

// ---- marking and refining

function marked() {
  $("#marks").hidden = !results.marks.size;
  for (const mark of ["right", "wrong"]) $(`#marks .${mark}`).textContent = `${{ right: "✓", wrong: "✗" }[mark]} ${results.summary(mark)}`;
  const used = [...results.marks].every(([id, { mark }]) => (mark === "right" ? pictures.examples : pictures.leftOut).has(id));
  $("#refine").disabled = used && results.marks.size === pictures.examples.size + pictures.leftOut.size;
}

function take() {
  for (const [mark, used] of [["right", pictures.examples], ["wrong", pictures.leftOut]]) {
    used.clear();
    for (const [id, each] of results.marks) if (each.mark === mark) used.set(id, each.match);
  }
  pictures.draw();
}

function refine() {
  if ($("#marks").hidden || $("#refine").disabled || running) return;
  take();
  search();
}

function unmark() {
  const used = pictures.examples.size + pictures.leftOut.size;
  results.marks.clear();
  results.judge();
  take();
  marked();
  if (used) stale();
  say("Marks cleared");
}

function fresh() {
  running?.abort();
  pictures.clear();
  results.marks.clear();
  answer = asked = null;
  results.show([], "");
  $("#bar").hidden = $("#stale").hidden = true;
  marked();
  calm();
  invite();
  ready();
  $("#pictures").focus();
}

// ---- controls

$("#door").addEventListener("submit", (event) => {
  event.preventDefault();
  api.keepToken($("#token").value);
  enter();
});
$("#query").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
$("#leave").addEventListener("click", () => {
  fresh();
  askToken("");
});
$("#refine").addEventListener("click", refine);
$("#unmark").addEventListener("click", unmark);
$("#fresh").addEventListener("click", fresh);
$("#help").addEventListener("click", () => $("#keys").showModal());
$("#threshold").addEventListener("change", () => {
  rate = $("#threshold").value;
  results.setThreshold(threshold());
});
$("#heat").addEventListener("change", results.reheat);
$("#csv").addEventListener("click", () => saveCsv(listed()));
$("#json").addEventListener("click", () => {
  const { model, fingerprint } = gallery;
  saveJson({ exported: new Date().toISOString(), model, fingerprint, threshold: threshold(), images: answer.images, query: asked }, listed());
});
const listed = () => rows(results.matches(), results.marks, results.above);

for (const dialog of $$("dialog")) {
  $(".close", dialog).addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

const KEYS = {
  "/": () => $("#pictures").focus(),
  "?": () => $("#keys").showModal(),
  s: search,
  f: refine,
  h: () => $("#heat").click(),
  Escape: () => (running ? running.abort() : calm()),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if ($("#desk").hidden && event.key !== "?") return;
  if (event.target.matches("select, input:not([type=radio], [type=checkbox], [type=file])") && event.key !== "Escape") return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
addEventListener("beforeunload", (event) => results.marks.size && event.preventDefault()); // marks exist only in this page
addEventListener("hashchange", () => api.takeToken() && enter());
setInterval(async () => {
  if (document.hidden || $("#desk").hidden || running) return;
  const now = await api.gallery().catch(() => null); // a failure appears at the next search
  if (now && !$("#desk").hidden) {
    gallery = now;
    furnish();
  }
}, REFRESH);

if (matchMedia("(max-width: 50rem)").matches) for (const part of $$("#query details")) part.open = false;
api.takeToken();
enter();
