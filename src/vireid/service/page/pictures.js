// The pictures of the person: chosen, dropped or pasted files, and matches added to the query.

import { $, copy, count, inline } from "./dom.js";

export function createPictures({ changed, refused, takenOut }) {
  const files = []; // {file, url, name, heat}
  const examples = new Map(); // id -> match
  const leftOut = new Map(); // id -> match
  const input = $("#pictures");
  const taken = $("#query").elements.modality;
  let chosenByHand = false; // the modality of this person's pictures
  const drop = $("#drop");

  async function add(chosen) {
    const unreadable = [];
    const before = files.length + examples.size;
    let grey = true;
    for (const file of chosen) {
      const picture = await createImageBitmap(file).catch(() => null);
      if (!picture) {
        unreadable.push(file.name);
        continue;
      }
      grey &&= isGrey(picture);
      picture.close();
      files.push({ file, url: URL.createObjectURL(file), name: file.name, heat: "" });
    }
    if (unreadable.length) {
      const names = unreadable.join(", ");
      refused(`${names}: not ${unreadable.length > 1 ? "pictures" : "a picture"} that this browser can read; use JPEG, PNG or WebP.`);
    }
    if (unreadable.length === chosen.length) return;
    if (!chosenByHand && !before) {
      taken.value = grey ? "infrared" : "visible";
      $("#guess").hidden = !grey;
    }
    draw();
    changed();
  }

  function remove(picture) {
    if (picture.url) {
      URL.revokeObjectURL(picture.url);
      files.splice(files.indexOf(picture), 1);
    } else {
      examples.delete(picture.entry.id);
      takenOut(picture.entry.id);
    }
    draw();
    changed();
  }

  function clear() {
    for (const picture of files.splice(0)) URL.revokeObjectURL(picture.url);
    examples.clear();
    leftOut.clear();
    chosenByHand = false;
    draw();
  }

  function draw() {
    const strip = $("#strip");
    strip.replaceChildren(
      ...files.map((picture) => tile(picture, picture.url, picture.name, "Remove")),
      ...[...examples.values()].map((match) => tile(match, inline(match.thumbnail), match.entry.name, "Remove")),
    );
    const note = [];
    const pictures = files.length + examples.size;
    if (pictures > 1) note.push(`${pictures} pictures of one person`);
    if (leftOut.size) note.push(`${count(leftOut.size, "wrong match", "wrong matches")} left out`);
    $("#strip-note").textContent = note.join(" · ");
    $("#strip-note").hidden = !note.length;
    $("#fresh").hidden = !pictures;
    drop.classList.toggle("small", pictures > 0);
    if (!files.length) $("#guess").hidden = true;
  }

  function tile(picture, source, name, verb) {
    const item = copy("strip-template");
    $("img", item).src = source;
    $("img", item).alt = name;
    $(".name", item).textContent = picture.entry ? `✓ ${picture.entry.camera || "no camera"}` : name;
    item.title = name;
    item.classList.toggle("example", Boolean(picture.entry));
    const heat = $(".heat", item);
    if (picture.heat) heat.src = picture.heat;
    heat.hidden = !picture.heat;
    $("button", item).setAttribute("aria-label", `${verb} ${name}`);
    $("button", item).addEventListener("click", () => {
      remove(picture);
      input.focus();
    });
    return item;
  }

  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = ""; // the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length && !$("dialog[open]")) add([...event.clipboardData.files]);
  });
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    if (!carriesFiles(event)) return;
    event.preventDefault(); // anywhere on the page, because otherwise the browser would open the file
    add([...event.dataTransfer.files]);
  });
  $("#query").addEventListener("change", (event) => {
    if (event.target.name !== "modality") return;
    chosenByHand = true;
    $("#guess").hidden = true;
  });

  return {
    files,
    examples,
    leftOut,
    draw,
    clear,
    any: () => files.length + examples.size > 0,
    /** Overlay the heat maps of an answer on the pictures that were sent, in order. */
    lay(queries, asked) {
      asked.forEach((picture, index) => (picture.heat = inline(queries[index]?.heatmap)));
      draw();
    },
  };
}

/** An infrared camera writes three equal channels; JPEG may change them by a few steps. */
function isGrey(picture) {
  const canvas = new OffscreenCanvas(32, 32);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, 32, 32);
  const { data } = context.getImageData(0, 0, 32, 32);
  let apart = 0;
  for (let at = 0; at < data.length; at += 4) {
    apart += Math.max(data[at], data[at + 1], data[at + 2]) - Math.min(data[at], data[at + 1], data[at + 2]);
  }
  return apart / (data.length / 4) < 4;
}
