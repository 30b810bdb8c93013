// Light or dark: as the system says, until the button says otherwise.

import { h, render, s } from "./dom.js";

const KEY = "ddpm.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** Makes `button` switch between light and dark. */
export function themeButton(button) {
  const draw = () => {
    const next = isDark() ? "light" : "dark";
    button.setAttribute("aria-label", `Switch to the ${next} theme`);
    button.title = `Switch to the ${next} theme`;
    render(button, isDark() ? sun() : moon());
  };
  button.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem(KEY, next);
    draw();
  });
  system.addEventListener("change", draw);
  draw();
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === undefined ? system.matches : chosen === "dark";
}

function icon(...shapes) {
  return s("svg", { class: "line-icon", viewBox: "0 0 20 20", width: 18, height: 18, "aria-hidden": "true" }, shapes);
}

function sun() {
  const rays = "M10 1.8v2M10 16.2v2M1.8 10h2M16.2 10h2M4.2 4.2l1.4 1.4M14.4 14.4l1.4 1.4M15.8 4.2l-1.4 1.4M5.6 14.4l-1.4 1.4";
  return h("span", { "data-key": "sun" }, icon(s("circle", { cx: 10, cy: 10, r: 3.6 }), s("path", { d: rays })));
}

function moon() {
  return h("span", { "data-key": "moon" }, icon(s("path", { d: "M16.5 12.2A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.7 8.7Z" })));
}
