// A pipeline's flow as a drawing: topics → engine (parser, processors) → sinks, and the dead letters beside them.

import { s } from "./dom.js";
import { count, plural, rate } from "./format.js";
import { stateIcon } from "./parts.js";

const NODE = 54;
const STEP = 36;
const SPACE = 14;
const ENGINE_HEAD = 40;
const NARROW = 640;
const MOST_SHOWN = 4;
// As the style sheet has them: texts are measured before they are drawn.
const NODE_FONT = "600 13.5px";
const STEP_FONT = "500 13px";
const UNDER_FONT = "400 12px";

const GLYPHS = {
  topic: ["M2 4.5h14M2 9h14M2 13.5h9"],
  dead: ["M1.8 3.8h14.4v10.4H1.8Z", "m1.8 4.4 7.2 5.4 7.2-5.4"],
  parser: ["M6.5 2.5c-2 0-2.4.8-2.4 2.6 0 2.3-.4 3-2 3.9 1.6.9 2 1.6 2 3.9 0 1.8.4 2.6 2.4 2.6", "M11.5 2.5c2 0 2.4.8 2.4 2.6 0 2.3.4 3 2 3.9-1.6.9-2 1.6-2 3.9 0 1.8-.4 2.6-2.4 2.6"],
  mapping: ["M2 5.5h12M11 2.5l3 3-3 3M16 12.5H4M7 9.5l-3 3 3 3"],
  filter: ["M2 3h14l-5.4 6.4V15L7.4 13V9.4Z"],
};

/** The drawing for a place of `width` pixels; `pipeline` is what /v1/pipelines/NAME answers. */
export function flow(pipeline, width, still) {
  const parts = partsOf(pipeline);
  const plan = width < NARROW ? tall(parts, width) : wide(parts, width);
  const moves = (value) => value > 0 && !still;
  return s("svg", { class: "flow", viewBox: `0 0 ${width} ${plan.height}`, width, height: plan.height, role: "img", "aria-labelledby": "flow-title flow-text" },
    s("title", { id: "flow-title" }, `The flow of ${pipeline.name}`), s("desc", { id: "flow-text" }, spoken(pipeline, parts)),
    plan.edges.map((edge) => edgeOf(edge, moves(edge.rate) && !edge.bad)),
    engineBox(plan.engine, parts), plan.nodes.map(nodeOf), plan.labels.map(labelOf));
}

function partsOf(pipeline) {
  const failing = (kind) => pipeline.probes.filter((probe) => probe.kind === kind && !probe.ok && probe.age_seconds !== null);
  const lost = (kind) => failing("sink").some((probe) => probe.name === kind || probe.name.startsWith(`${kind} `)) ||
    (kind === "kafka" && failing("broker").length > 0);
  const broker = failing("broker").length > 0;
  const topics = few(pipeline.source.topics.map((name) => ({ glyph: "topic", title: name, under: broker ? "broker failing" : "topic", bad: broker })));
  const steps = few([{ glyph: "parser", title: pipeline.source.parser, under: "parser" },
    ...pipeline.processors.map(({ kind }) => ({ glyph: kind, title: kind }))]);
  const sinks = few(pipeline.sinks.map(({ kind, name, icon }) => (
    { glyph: "topic", icon, title: name, under: lost(kind) ? `${kind} failing` : kind === name ? "sink" : kind, bad: lost(kind) })));
  const dead = { glyph: "dead", title: pipeline.dead_letter.topic, under: `dead letters: ${count(pipeline.totals.dead)}`, faint: true };
  const ready = pipeline.replicas.filter((replica) => replica.ready).length;
  const bad = failing("engine").length > 0 || pipeline.state === "failed";
  return { topics, steps, sinks, dead, rates: pipeline.rates, broker, lost: sinks.some((sink) => sink.bad),
    engine: { title: pipeline.scaling.desired === 1 ? "engine" : `engine × ${count(pipeline.scaling.desired)}`, under: `${count(ready)} of ${count(pipeline.scaling.desired)} ready`, bad } };
}

function few(things) {
  if (things.length <= MOST_SHOWN) {
    return things;
  }
  const rest = things.slice(MOST_SHOWN - 1);
  return [...things.slice(0, MOST_SHOWN - 1),
    { ...things[0], glyph: "topic", icon: null, title: `${rest.length} more`, under: "", hint: rest.map((each) => each.title).join(", "), bad: rest.some((each) => each.bad) }];
}

function stack(number, height = NODE) {
  return number * height + Math.max(0, number - 1) * SPACE;
}

function engineHeight(steps) {
  return ENGINE_HEAD + stack(steps.length, STEP) + SPACE;
}

function wide({ topics, steps, sinks, dead, rates, broker, lost }, width) {
  const size = Math.min(270, Math.max(160, Math.floor((width - 2 * 110) / 3)));
  const gap = (width - 3 * size) / 2;
  const [left, middle, right] = [0, size + gap, 2 * (size + gap)];
  const box = engineHeight(steps);
  const axis = Math.max(stack(topics.length), box, stack(sinks.length)) / 2 + 1;
  const deadTop = Math.max(axis + stack(sinks.length) / 2 + 30, axis + box / 2 - NODE);
  const deadAxis = deadTop + NODE / 2;
  const column = (nodes, x) => nodes.map((node, index) => (
    { ...node, x, y: axis - stack(nodes.length) / 2 + index * (NODE + SPACE), width: size, height: NODE }));
  const sources = column(topics, left);
  const targets = column(sinks, right);
  const join = size + gap * 0.3;
  const fan = right - gap * 0.3;
  const branch = middle + size + gap * 0.35;
  const out = Math.min(axis + box / 2 - 18, deadAxis);
  return {
    height: Math.ceil(Math.max(axis * 2, deadTop + NODE) + 2),
    engine: { x: middle, y: axis - box / 2, width: size, height: box },
    nodes: [...sources, ...stepsIn(steps, middle, axis - box / 2, size), ...targets,
      { ...dead, x: right, y: deadTop, width: size, height: NODE }],
    edges: [
      ...sources.map((node) => ({ d: `M${size} ${mid(node)}C${join} ${mid(node)} ${join - gap * 0.15} ${axis} ${join + gap * 0.1} ${axis}H${middle - 7}`, rate: rates.read, bad: broker })),
      ...targets.map((node) => ({ d: `M${middle + size} ${axis}H${fan - gap * 0.1}C${fan + gap * 0.15} ${axis} ${fan} ${mid(node)} ${right - 7} ${mid(node)}`, rate: rates.written, bad: node.bad })),
      { d: `M${middle + size} ${out}C${branch} ${out} ${branch - gap * 0.2} ${deadAxis} ${branch} ${deadAxis}H${right - 7}`, rate: rates.dead, dead: true },
    ],
    labels: [
      { x: size + gap * 0.62, y: axis, value: rates.read, word: "read", bad: broker },
      { x: middle + size + gap * 0.38, y: axis, value: rates.written, word: "written", bad: lost },
      { x: branch + (right - branch) / 2, y: deadAxis, value: rates.dead, word: "dead" },
    ],
  };
}

function tall({ topics, steps, sinks, dead, rates, broker, lost }, width) {
  const gap = 50;
  const indent = 34;
  const column = (nodes, x, top) => nodes.map((node, index) => (
    { ...node, x, y: top + index * (NODE + SPACE), width: width - x - 1, height: NODE }));
  const sources = column(topics, 1, 1);
  const box = { x: 1, y: stack(topics.length) + gap, width: width - 2, height: engineHeight(steps) };
  const bottom = box.y + box.height;
  const targets = column(sinks, indent, bottom + gap);
  const deadTop = bottom + gap + stack(sinks.length) + gap;
  const center = width / 2;
  return {
    height: deadTop + NODE + 2,
    engine: box,
    nodes: [...sources, ...stepsIn(steps, box.x, box.y, box.width), ...targets,
      { ...dead, x: indent, y: deadTop, width: width - indent - 1, height: NODE }],
    edges: [
      { d: `M${center} ${stack(topics.length) + 1}V${box.y - 7}`, rate: rates.read, bad: broker },
      { d: `M${center} ${bottom}V${bottom + gap - 7}`, rate: rates.written, bad: lost },
      { d: `M14 ${bottom}V${deadTop + NODE / 2 - 8}Q14 ${deadTop + NODE / 2} 22 ${deadTop + NODE / 2}H${indent - 7}`, rate: rates.dead, dead: true },
    ],
    labels: [
      { x: center + 10, y: (stack(topics.length) + box.y) / 2, value: rates.read, word: "read", bad: broker, beside: true },
      { x: center + 10, y: bottom + gap / 2, value: rates.written, word: "written", bad: lost, beside: true },
      { x: 24, y: deadTop - gap / 2, value: rates.dead, word: "dead", beside: true },
    ],
  };
}

function stepsIn(steps, x, y, width) {
  return steps.map((step, index) => (
    { ...step, x: x + SPACE, y: y + ENGINE_HEAD + index * (STEP + SPACE), width: width - 2 * SPACE, height: STEP, chained: index > 0 }));
}

function mid(node) {
  return node.y + node.height / 2;
}

function edgeOf({ d, dead, bad }, moving) {
  const kind = bad ? "edge-bad" : dead ? "edge-dead" : "edge-good";
  return s("g", { class: `edge ${kind}` },
    s("path", { class: "edge-line", d }), moving ? s("path", { class: "edge-moving", d }) : null, arrow(d));
}

function arrow(d) {
  const numbers = d.match(/-?[\d.]+/g).map(Number);
  if (/V[\d.]+$/.test(d)) {
    const [x, y] = [numbers[0], numbers.at(-1)];
    return s("path", { class: "edge-head", d: `M${x - 4.5} ${y - 1}L${x} ${y + 6}L${x + 4.5} ${y - 1}Z` });
  }
  const level = /H[\d.]+$/.test(d);
  const x = numbers.at(level ? -1 : -2);
  const y = numbers.at(level ? -2 : -1);
  return s("path", { class: "edge-head", d: `M${x - 1} ${y - 4.5}L${x + 6} ${y}L${x - 1} ${y + 4.5}Z` });
}

function engineBox({ x, y, width, height }, { engine }) {
  return s("g", { class: engine.bad ? "engine bad" : "engine" },
    s("rect", { x, y, width, height, rx: 12 }),
    s("text", { class: "engine-title", x: x + SPACE, y: y + 25 }, engine.title),
    s("text", { class: "engine-under num", x: x + width - SPACE, y: y + 25, "text-anchor": "end" }, engine.bad ? `failing, ${engine.under}` : engine.under));
}

function nodeOf({ x, y, width, height, glyph, icon, title, under, hint, bad, faint, chained }) {
  const small = height === STEP;
  const textX = x + 40;
  const room = width - 40 - (bad ? 34 : 14);
  return s("g", { class: `node${bad ? " bad" : ""}${faint ? " faint" : ""}${small ? " small" : ""}` },
    s("title", null, hint ?? title),
    chained ? s("path", { class: "chain", d: `M${x + 20} ${y - SPACE + 1}v${SPACE - 2}` }) : null,
    s("rect", { x, y, width, height, rx: 8 }),
    s("g", { class: "glyph", transform: `translate(${x + 12} ${y + height / 2 - 9})` }, (icon?.length > 0 ? icon : GLYPHS[glyph] ?? GLYPHS.topic).map((d) => s("path", { d }))),
    s("text", { class: "node-title", x: textX, y: small || !under ? y + height / 2 + 4.5 : y + 24 }, fitting(title, small && under ? room - 54 : room, small ? STEP_FONT : NODE_FONT)),
    under && !small ? s("text", { class: "node-under num", x: textX, y: y + 41 }, fitting(under, room, UNDER_FONT)) : null,
    under && small ? s("text", { class: "node-under", x: x + width - 12, y: y + height / 2 + 4.5, "text-anchor": "end" }, under) : null,
    bad ? s("g", { transform: `translate(${x + width - 28} ${y + height / 2 - 8})` }, stateIcon("failed", 16)) : null);
}

function labelOf({ x, y, value, word, bad, beside }) {
  const said = bad ? "interrupted" : word;
  if (beside) {
    return s("text", { class: "edge-label", x, y: y + 4 }, s("tspan", { class: "edge-value num" }, `${rate(value)}/s`), ` ${said}`);
  }
  return s("g", { class: "edge-label", "text-anchor": "middle" },
    s("text", { class: "edge-value num", x, y: y - 9 }, `${rate(value)}/s`), s("text", { x, y: y + 18 }, said));
}

function spoken(pipeline, { topics, sinks, rates }) {
  const steps = [`the parser ${pipeline.source.parser}`, ...pipeline.processors.map(({ kind }) => `a ${kind}`)].join(", ");
  return `${plural(pipeline.source.topics.length, "topic")} (${topics.map((each) => each.title).join(", ")}), ${rate(rates.read)} records per second read, ` +
    `through ${steps}, to ${sinks.map((each) => each.title).join(", ")}, ${rate(rates.written)} per second written; ` +
    `${rate(rates.dead)} per second to the dead letters ${pipeline.dead_letter.topic}.`;
}

const pen = document.createElement("canvas").getContext("2d");

/** `text`, shortened in the middle until it is at most `room` pixels wide: both ends of a name distinguish it from others. */
function fitting(text, room, font) {
  pen.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  if (pen.measureText(text).width <= room) {
    return text;
  }
  const letters = [...text];
  let [low, high] = [1, letters.length - 1];
  const cut = (kept) => `${letters.slice(0, Math.ceil(kept / 2)).join("")}…${letters.slice(letters.length - Math.floor(kept / 2)).join("")}`;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    [low, high] = pen.measureText(cut(middle)).width <= room ? [middle, high] : [low, middle - 1];
  }
  return cut(low);
}
