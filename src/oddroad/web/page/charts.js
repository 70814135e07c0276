// Lines over an axis, as SVG; every chart has its numbers as a table, too.

import { make } from "./dom.js";
import { general } from "./numbers.js";

const SVG = "http://www.w3.org/2000/svg", WIDE = 640, HIGH = 300, LEFT = 56, BOTTOM = 40, TOP = 12, RIGHT = 12;
const COLOURS = ["#0b7bd0", "#d0450b", "#2b8a3e", "#9a4fc4", "#8a6d00", "#c2257a"];

function draw(tag, values, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function marks(low, high, logarithmic) {
  if (logarithmic) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) found.push(10 ** power);
    return found.filter((each) => each >= low * 0.999 && each <= high * 1.001);
  }
  const raw = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find((each) => each * power >= raw) * power;
  const found = [];
  for (let each = Math.ceil(low / step) * step; each <= high + step / 1e6; each += step) found.push(Math.abs(each) < step / 1e6 ? 0 : each);
  return found;
}

// series: [{ name, points: [[x, y]], dashed, step }]; options: { title, x, y, logX, logY, at, lowY }
export function lineChart(series, options) {
  const { title, x: xName, y: yName, logX = false, logY = false, at = null } = options;
  const usable = series.map((each) => ({ ...each, points: each.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y) && (!logX || x > 0) && (!logY || y > 0)) }));
  const xs = usable.flatMap((each) => each.points.map((point) => point[0])), ys = usable.flatMap((each) => each.points.map((point) => point[1]));
  if (!xs.length) return make("p", {}, `${title}: no points yet.`);
  const least = (values) => values.reduce((a, b) => Math.min(a, b)), most = (values) => values.reduce((a, b) => Math.max(a, b));
  let [x0, x1, y0, y1] = [least(xs), most(xs), options.lowY ?? least(ys), most(ys)];
  if (x0 === x1) x1 = x0 + 1;
  if (y0 === y1) y1 = y0 + 1;
  const along = (value, low, high, logarithmic) => (logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
  const px = (x) => LEFT + along(x, x0, x1, logX) * (WIDE - LEFT - RIGHT), py = (y) => HIGH - BOTTOM - along(y, y0, y1, logY) * (HIGH - BOTTOM - TOP);
  const chart = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "chart", role: "img", "aria-label": `${title}: ${series.map((each) => each.name).join(", ")}` });
  for (const mark of marks(x0, x1, logX)) {
    chart.append(draw("line", { class: "grid", x1: px(mark), x2: px(mark), y1: TOP, y2: HIGH - BOTTOM }), draw("text", { x: px(mark), y: HIGH - BOTTOM + 15, "text-anchor": "middle" }, general(mark, 4)));
  }
  for (const mark of marks(y0, y1, logY)) {
    chart.append(draw("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: py(mark), y2: py(mark) }), draw("text", { x: LEFT - 6, y: py(mark) + 4, "text-anchor": "end" }, general(mark, 4)));
  }
  chart.append(draw("rect", { class: "axis", x: LEFT, y: TOP, width: WIDE - LEFT - RIGHT, height: HIGH - BOTTOM - TOP, fill: "none" }),
    draw("text", { x: (LEFT + WIDE) / 2, y: HIGH - 6, "text-anchor": "middle" }, xName), draw("text", { x: LEFT, y: TOP - 2 }, yName));
  usable.forEach(({ points, dashed, step }, number) => {
    const path = points.map(([x, y], each) => `${each ? (step ? `H${px(x).toFixed(1)}V` : `L${px(x).toFixed(1)} `) : `M${px(x).toFixed(1)} `}${py(y).toFixed(1)}`).join("");
    chart.append(draw("path", { d: path, fill: "none", stroke: COLOURS[number % COLOURS.length], "stroke-width": 2, "stroke-dasharray": dashed ? "6 4" : "none" }));
  });
  if (at !== null && at >= x0 && at <= x1) chart.append(draw("line", { class: "axis", x1: px(at), x2: px(at), y1: TOP, y2: HIGH - BOTTOM, "stroke-dasharray": "3 3" }));
  const legend = make("p", {}, ...series.flatMap(({ name, dashed }, number) => {
    const key = make("span", { "aria-hidden": "true" }, dashed ? "┅ " : "━ ");
    key.style.color = COLOURS[number % COLOURS.length];
    return [key, `${name}  `];
  }));
  return make("figure", {}, make("figcaption", {}, title), chart, legend);
}

// Rows of values under names; numbers keep the digits that say something.
export function table(names, rows, caption = "") {
  const cell = (value) => (typeof value === "number" && !Number.isInteger(value) ? general(value, 4) : String(value ?? ""));
  return make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption || names.join(", ") }, make("table", {}, caption ? make("caption", {}, caption) : null,
    make("thead", {}, make("tr", {}, ...names.map((each) => make("th", { scope: "col" }, each)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((each) => (each instanceof Node ? make("td", {}, each) : make("td", {}, cell(each)))))))));
}
