// The controls for where, when and how to search: filling them from the gallery, and reading them.

import { $, $$, clock, copy, count, minute } from "./dom.js";

const MANY = 8; // from this many cameras on, a field helps to find one

export function createFilters(changed) {
  const form = $("#query");
  const cameras = new Map(); // name -> "only", "not" or ""
  let last = null;

  function fill(gallery) {
    const names = Object.keys(gallery.cameras).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const shown = $$("#cameras li").map((item) => item.dataset.camera);
    if (names.join("\n") !== shown.join("\n")) {
      for (const name of cameras.keys()) if (!names.includes(name)) cameras.delete(name);
      for (const name of names) if (!cameras.has(name)) cameras.set(name, "");
      $("#cameras").replaceChildren(...names.map(row));
      $("#camera-find").hidden = names.length < MANY;
      press();
    }
    for (const item of $$("#cameras li")) $(".count", item).textContent = gallery.cameras[item.dataset.camera].toLocaleString("en");
    last = gallery.last ? new Date(gallery.last) : null;
    for (const field of [$("#since"), $("#until")]) field.disabled = !last;
    for (const button of $$("#spans button")) button.disabled = !last;
    $("#extent").textContent = last ? `${clock(gallery.first).slice(0, 16)} to ${clock(gallery.last).slice(0, 16)}` : "No image has a time.";
    $("#zone").textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
    note();
  }

  function row(name) {
    const item = copy("camera-template");
    $(".name", item).textContent = name || "no camera";
    $(".name", item).title = name;
    item.dataset.camera = name;
    for (const button of $$("button", item)) {
      const verb = button.dataset.state === "only" ? "Only camera" : "Not camera";
      button.setAttribute("aria-label", `${verb} ${name || "unknown"}`);
      button.addEventListener("click", () => {
        cameras.set(name, cameras.get(name) === button.dataset.state ? "" : button.dataset.state);
        press();
        moved();
      });
    }
    return item;
  }

  function press() {
    for (const item of $$("#cameras li")) {
      const state = cameras.get(item.dataset.camera);
      item.className = state;
      for (const button of $$("button", item)) button.ariaPressed = String(button.dataset.state === state);
    }
  }

  const chosen = (state) => [...cameras].filter(([, is]) => is === state).map(([name]) => name);

  function where() {
    const restriction = {};
    if (form.elements.among.value !== "all") restriction.modality = form.elements.among.value;
    if (chosen("only").length) restriction.cameras = chosen("only");
    if (chosen("not").length) restriction.not_cameras = chosen("not");
    if ($("#since").value) restriction.since = new Date($("#since").value).toISOString();
    if ($("#until").value) restriction.until = new Date($("#until").value).toISOString();
    return restriction;
  }

  /** The filter in words; empty if there is none. */
  function words() {
    const { modality, cameras: only, not_cameras: not, since, until } = where();
    const said = [];
    if (modality) said.push(modality);
    if (only) said.push(only.length < 3 ? `camera ${only.join(", ")}` : count(only.length, "camera"));
    if (not) said.push(not.length < 3 ? `not ${not.join(", ")}` : `not ${count(not.length, "camera")}`);
    if (since) said.push(`from ${clock(since).slice(0, 16)}`);
    if (until) said.push(`to ${clock(until).slice(0, 16)}`);
    return said.join(" · ");
  }

  function note() {
    const wrong = $("#since").value && $("#until").value && $("#since").value >= $("#until").value;
    $("#until").setCustomValidity(wrong ? "The end is before the start: choose a later end." : "");
    $("#where-note").textContent = words();
    $("#clear-where").disabled = !words();
  }

  function moved() {
    note();
    changed();
  }

  function clear() {
    for (const name of cameras.keys()) cameras.set(name, "");
    form.elements.among.value = "all";
    for (const field of [$("#since"), $("#until"), $("#camera-find")]) field.value = "";
    find();
    press();
    moved();
  }

  function find() {
    const sought = $("#camera-find").value.trim().toLowerCase();
    for (const item of $$("#cameras li")) item.hidden = !item.dataset.camera.toLowerCase().includes(sought);
  }

  for (const button of $$("#spans button")) {
    button.addEventListener("click", () => {
      const hours = Number(button.dataset.hours);
      $("#since").value = hours ? minute(new Date(last - hours * 3_600_000)) : "";
      $("#until").value = "";
      moved();
    });
  }
  $("#camera-find").addEventListener("input", find);
  $("#clear-where").addEventListener("click", clear);
  form.addEventListener("change", (event) => {
    if (event.target.type !== "file" && event.target.id !== "camera-find") moved();
  });

  return {
    fill,
    clear,
    words,
    /** The fields of a search that the controls set. */
    read: () => ({
      modality: form.elements.modality.value,
      top: Number($("#top").value),
      where: where(),
      rerank: $("#rerank").checked,
      group_by_track: $("#group").checked,
    }),
  };
}
