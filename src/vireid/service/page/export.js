// Export of the ranked list with its marks as a file, written by the page itself.

import { make } from "./dom.js";
import { rest } from "./results.js";

const COLUMNS = ["rank", "score", "above_threshold", "mark", "modality", "camera", "time", "track", "name", "id"];

/** One row per picture: the matches with the rest of their tracks, then those marked wrong and left out. */
export function rows(matches, marks, above) {
  const listed = matches.flatMap((match, index) => [match, ...rest(match)].map((each) => [each, index + 1]));
  const ids = new Set(listed.map(([match]) => match.entry.id));
  const gone = [...marks.values()].filter(({ match }) => !ids.has(match.entry.id)).map(({ match }) => [match, null]);
  return [...listed, ...gone].map(([match, rank]) => {
    const { entry, score } = match;
    return {
      rank,
      score,
      above_threshold: above(match),
      mark: marks.get(entry.id)?.mark ?? null,
      modality: entry.modality,
      camera: entry.camera,
      time: entry.time,
      track: entry.track,
      name: entry.name,
      id: entry.id,
    };
  });
}

export function saveCsv(list) {
  const lines = [COLUMNS, ...list.map((row) => COLUMNS.map((column) => row[column]))];
  save(lines.map((line) => line.map(cell).join(",") + "\r\n").join(""), "text/csv", "csv");
}

export const saveJson = (about, matches) => save(JSON.stringify({ ...about, matches }, null, 2) + "\n", "application/json", "json");

/** A cell quoted as in RFC 4180; text that a spreadsheet would run as a formula gets a leading apostrophe. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save(content, type, ending) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  make("a", { href: url, download: `vireid-${stamp}Z.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
