// The frame that is shown: picture, colours, outlines and boxes, for each detector; and what lies under the cursor.

import { boxes, coloured, difference, percent, rarity, scaleOf } from "./colours.js";
import { $, make } from "./dom.js";
import { counted } from "./numbers.js";
import { find } from "./regions.js";

let figures = [];

function prepare(state) {
  const names = state.mode === "difference" ? ["Difference"] : state.dials.map((each) => each.detector.name);
  if (figures.length === names.length && figures.every((each, at) => each.name === names[at])) return;
  figures = names.map((name, at) => {
    const canvas = make("canvas", { tabIndex: 0, role: "img" });
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      state.cursor = [Math.floor((event.clientX - box.left) / box.width * canvas.width), Math.floor((event.clientY - box.top) / box.height * canvas.height)];
      pointed(state);
    });
    canvas.addEventListener("click", (event) => {
      if (!state.corners) return;
      const box = canvas.getBoundingClientRect(), share = (value) => Math.round(1000 * Math.max(0, Math.min(1, value))) / 1000;
      state.corners.push([share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)]);
      state.redraw();
    });
    return { name, at, canvas, caption: make("figcaption", {}, name) };
  });
  $("pictures").replaceChildren(...figures.map((each) => make("figure", {}, each.canvas, each.caption)));
}

// Draw the current frame; returns the regions for each detector, with track, hits and whether they are reported.
export async function paint(state) {
  prepare(state);
  const { viewed, current } = state, image = await viewed.image(current), frame = viewed.frames[current];
  const heats = await Promise.all(state.dials.map((_, at) => viewed.heat(current, at)));
  if (current + 1 < viewed.frames.length) viewed.image(current + 1);
  state.heats = heats;
  const insides = await Promise.all(heats.map((heat, at) => (heat ? viewed.inside(current, at, state.roi) : null)));
  const [height, width] = frame.size, unit = Math.max(height / 540, 0.5);
  const regions = heats.map((heat, at) => (heat ? regionsOf(state, heat, at, insides[at]) : []));
  for (const { canvas, caption, at } of figures) {
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, width, height);
    if (state.mode === "difference") {
      caption.textContent = compared(state, context, heats);
    } else if (heats[at] && state.mode !== "plain") {
      const dial = state.dials[at], scale = scaleOf(dial.value, dial.inDistribution);
      const shown = regions[at].filter((each) => each.reported !== false || state.showLeft);
      const reported = regions[at].filter((each) => each.reported !== false);
      overlay(context, coloured(heats[at], reported, scale, state.opacity, state.mode === "map"));
      boxes(context, shown, unit);
    }
    if (insides[at] && state.mode !== "plain") overlay(context, shade(insides[at], width, height));
    if (state.corners) outline(context, state.corners, unit);
    if (state.cursor) cross(context, state.cursor, unit);
    canvas.setAttribute("aria-label", `${frame.source}${frame.index === null ? "" : ` frame ${frame.index}`}: ${counted(regions[at]?.length ?? 0, "region")} marked by ${figures[at]?.name ?? ""}`);
  }
  pointed(state);
  return regions;
}

function regionsOf(state, heat, at, inside) {
  const dial = state.dials[at], regions = find(heat, dial.value, state.minArea ?? dial.detector.min_area, dial.inDistribution, inside);
  const told = at === state.active ? state.found?.frames[state.current] : null;
  for (const region of regions) {
    const same = told?.find((each) => each.box.join() === region.box.join());
    region.track = same?.track ?? null;
    region.hits = same?.hits ?? null;
    region.reported = region.hits === null ? undefined : region.hits >= state.minHits;
  }
  return regions;
}

function compared(state, context, heats) {
  const [first, second] = state.dials;
  if (!first.inDistribution || !second.inDistribution) return "The difference needs detectors that are calibrated.";
  if (!heats[0] || !heats[1]) return "This frame was not judged.";
  const [a, b] = [first, second].map((each) => rarity(each.inDistribution));
  overlay(context, difference(heats[0], heats[1], a, b));
  return `How rare each pixel is on in-distribution scenes: orange where ${first.detector.name} finds it rarer, blue where ${second.detector.name} does.`;
}

// What lies outside of the region of interest, darkened.
function shade(inside, width, height) {
  const out = new ImageData(width, height);
  for (let at = 0; at < inside.length; at++) out.data[4 * at + 3] = inside[at] ? 0 : 110;
  return out;
}

// The corners that were drawn so far.
function outline(context, corners, unit) {
  const { width, height } = context.canvas;
  context.lineWidth = Math.max(2, 2 * unit);
  context.strokeStyle = context.fillStyle = "rgb(255, 225, 70)";
  context.beginPath();
  corners.forEach(([x, y], at) => (at ? context.lineTo(x * width, y * height) : context.moveTo(x * width, y * height)));
  context.stroke();
  for (const [x, y] of corners) context.fillRect(x * width - 3 * unit, y * height - 3 * unit, 6 * unit, 6 * unit);
}

function overlay(context, pixels) {
  const layer = new OffscreenCanvas(pixels.width, pixels.height);
  layer.getContext("2d").putImageData(pixels, 0, 0);
  context.drawImage(layer, 0, 0);
}

function cross(context, [x, y], unit) {
  context.lineWidth = Math.max(1, unit);
  for (const [colour, shift] of [["black", 1], ["white", 0]]) {
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(x - 8 * unit + shift, y + shift);
    context.lineTo(x + 8 * unit + shift, y + shift);
    context.moveTo(x + shift, y - 8 * unit + shift);
    context.lineTo(x + shift, y + 8 * unit + shift);
    context.stroke();
  }
}

// Score and percentile under the cursor, for each detector.
export function pointed(state) {
  if (!state.cursor || !state.heats) return;
  const [x, y] = state.cursor;
  const words = state.heats.map((heat, at) => {
    if (!heat || x < 0 || y < 0 || x >= heat.width || y >= heat.height) return "not judged";
    const score = heat.data[y * heat.width + x], dial = state.dials[at];
    const share = dial.inDistribution ? `, above ${percent(dial.inDistribution.percentile(score))} of in-distribution pixels` : "";
    return `${state.dials.length > 1 ? `${dial.detector.name}: ` : ""}score ${score.toFixed(3)}${share}, ${score > dial.value ? "above" : "below"} the threshold`;
  });
  $("cursor").textContent = `(${x}, ${y}) ${words.join("; ")}`;
}
