// The line at the top that says what went wrong and what to do.

import { $ } from "./dom.js";

let timer = 0;

/** Show one line with a button for what to do; with `wait`, the button presses itself after so many seconds. */
export function alarm(message, { label = "", act, wait = 0 } = {}) {
  calm();
  const box = $("#alert");
  const button = $("button", box);
  let left = Math.ceil(wait);
  const write = () => (button.textContent = left ? `${label} (${left} s)` : label);
  $("span", box).textContent = message;
  button.hidden = !act;
  button.onclick = () => {
    calm();
    act();
  };
  write();
  box.hidden = false;
  if (!wait) return;
  timer = setInterval(() => {
    left -= 1;
    if (left > 0) write();
    else button.click();
  }, 1000);
}

export function calm() {
  clearInterval(timer);
  $("#alert").hidden = true;
}

$("#alert .close").addEventListener("click", calm);
