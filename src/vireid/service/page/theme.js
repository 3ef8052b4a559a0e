// Loaded before the first paint, so that a dark page never flashes white.

const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;

function wear(theme) {
  root.dataset.theme = theme;
  const name = document.getElementById("theme-name");
  if (name) name.textContent = theme[0].toUpperCase() + theme.slice(1);
}

function kept() {
  try {
    return THEMES.includes(localStorage.theme) ? localStorage.theme : "auto";
  } catch {
    return "auto"; // storage may be forbidden
  }
}

wear(kept());
document.addEventListener("DOMContentLoaded", () => {
  wear(root.dataset.theme);
  document.getElementById("theme").addEventListener("click", () => {
    wear(THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length]);
    try {
      localStorage.theme = root.dataset.theme;
    } catch {
      // the theme then lasts until the page is closed
    }
  });
});
