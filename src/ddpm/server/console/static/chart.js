// The near past as a line.

import { h, s } from "./dom.js";
import { age, count } from "./format.js";

/** A line without axes, as wide as its place; `what` names it for screen readers. */
export function sparkline(values, what, { width = 120, height = 28 } = {}) {
  const text = spoken(values, what);
  const attributes = { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": text };
  if (values.length < 2) {
    const middle = height - 1.5;
    return s("svg", attributes, s("line", { class: "spark-none", x1: 0, x2: width, y1: middle, y2: middle }));
  }
  const line = path(values, width, height, Math.max(...values, 0));
  return s("svg", attributes,
    s("path", { class: "spark-area", d: `${line}L${width} ${height}L0 ${height}Z` }), s("path", { class: "spark-line", d: line }));
}

/** A line with its greatest value and its span of time; `format` shows a value with its unit. */
export function chart(values, step, what, format) {
  const width = 400;
  const height = 96;
  const greatest = Math.max(...values, 0);
  const grid = [0.25, 0.5, 0.75].map((part) =>
    s("line", { class: "chart-grid", x1: 0, x2: width, y1: height * part, y2: height * part }));
  const line = values.length < 2 ? null : path(values, width, height, greatest);
  const drawing = s("svg", { class: "chart-lines", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": spoken(values, what) },
    grid,
    line ? s("path", { class: "spark-area", d: `${line}L${width} ${height}L0 ${height}Z` }) : null,
    line ? s("path", { class: "spark-line", d: line }) : null);
  return h("div", { class: "chart" },
    h("div", { class: "chart-scale num", "aria-hidden": "true" }, h("span", null, format(greatest)), h("span", null, "0")),
    drawing,
    h("div", { class: "chart-time num", "aria-hidden": "true" },
      h("span", null, values.length < 2 ? "" : `${age((values.length - 1) * step)} ago`), h("span", null, "now")));
}

function path(values, width, height, greatest) {
  const top = 2;
  const scale = greatest > 0 ? (height - top - 1.5) / greatest : 0;
  const stride = width / (values.length - 1);
  const points = values.map((value, index) => `${(index * stride).toFixed(1)} ${(height - 1.5 - value * scale).toFixed(1)}`);
  return `M${points.join("L")}`;
}

function spoken(values, what) {
  if (values.length === 0) {
    return `${what}: nothing known yet`;
  }
  return `${what}: now ${count(values.at(-1))}, between ${count(Math.min(...values))} and ${count(Math.max(...values))} lately`;
}
