// What the page gets where there is no server: pictures and clips are read and judged in the browser and never leave it.

import { make } from "./dom.js";
import { frames as framesOf } from "./media.js";
import { counted } from "./numbers.js";
import { InDistribution, alarmLevel, encodeRle, find } from "./regions.js";
import { enlarge } from "./resize.js";
import { thresholdFor } from "./thresholds.js";
import { CameraShift, MAX_AGE, Tracker } from "./tracking.js";

export const local = true;

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map(), entries = new Map(), views = new Map();
let asked = 0, detectors = [], ready = null;

worker.onmessage = ({ data: { number, answer, error } }) => {
  const { done, failed } = waiting.get(number);
  waiting.delete(number);
  if (error) failed(new Error(error)); else done(answer);
};
worker.onerror = (event) => { for (const { failed } of waiting.values()) failed(new Error(event.message || "the detector could not be started")); };

function tell(kind, given, moved = []) {
  return new Promise((done, failed) => {
    waiting.set(++asked, { done, failed });
    worker.postMessage({ number: asked, kind, given }, moved);
  });
}

export async function about() {
  const answer = await fetch("detectors.json");
  if (!answer.ok) throw new Error("detectors.json is missing: build the page again");
  detectors = (await answer.json()).detectors.map((each) => ({ ...each, engine: "onnxruntime-web" }));
  ready = tell("load", detectors);
  ready.catch(() => {});
  return { detectors, limits: {} };
}

export const sources = async () => ({ sources: [...entries.values()].map((each) => each.about), notes: [] });

export async function upload(files) {
  const chosen = files.length > 1 ? files.filter((file) => /^image\//.test(file.type)) : files;
  if (!chosen.length) throw new Error("there is no picture among these files; choose one video at a time");
  const key = crypto.randomUUID?.() ?? String(Math.random()), moving = /^video\//.test(chosen[0].type);
  const title = chosen.length > 1 ? chosen[0].webkitRelativePath?.split("/")[0] || counted(chosen.length, "picture") : chosen[0].name;
  const told = { key, title, kind: moving ? "video" : "images", live: false, uploaded: true, count: moving ? null : chosen.length };
  entries.set(key, { about: told, files: chosen });
  return { entry: told, left: files.length - chosen.length };
}

export async function open(key) {
  for (const view of views.values()) view.stopped = true;  // the detector has one frame at a time
  const entry = entries.get(key), view = { key, entry, frames: [], maps: [], pictures: [], notes: [], rate: null, total: entry.about.count,
    state: "working", error: "", began: performance.now(), spent: [], stopped: false, found: new Map() };
  views.set(key, view);
  work(view).then(() => { view.state = view.stopped ? "stopped" : "done"; }).catch((error) => { view.state = "failed"; view.error = error.message; });
  return { key };
}

async function work(view) {
  const { threads } = await ready;
  const camera = new CameraShift();
  view.notes.push(`${counted(threads, "thread")}; the first frames take many times as long as later ones`);
  for await (const { name, index, time, rgba, height, width, picture, rate, total } of framesOf(view.entry)) {
    if (view.stopped) return;
    view.rate = rate;
    view.total = total;
    const shift = time === null ? [0, 0] : camera.next(rgba, height, width);
    const { maps, milliseconds } = await tell("judge", { rgba: rgba.buffer, height, width }, [rgba.buffer]);
    view.spent.push(milliseconds);
    view.maps.push(maps);
    view.pictures.push(picture);
    view.frames.push({ source: name, index, time, utc: null, size: [height, width], status: "ok", reason: "", shift,
      levels: maps.map((low, at) => alarmLevel(enlarge(low, height, width), detectors[at].min_area)) });
  }
}

export async function view(key, since) {
  const view = views.get(key), recent = view.spent.slice(-8);
  const fps = recent.length ? 1000 * recent.length / recent.reduce((sum, each) => sum + each, 0) : 0;
  return { key, title: view.entry.about.title, kind: view.entry.about.kind, live: false, state: view.state, error: view.error, hint: view.notes[0] ?? "",
    done: view.frames.length, total: view.total, rate: view.rate, every: 1, first: 0, fps, notes: view.notes, since, frames: view.frames.slice(since) };
}

export async function stop(key) { views.get(key).stopped = true; }
export async function map(key, number, detector) { return views.get(key).maps[number][detector]; }

export async function picture(key, number) { return createImageBitmap(views.get(key).pictures[number]); }

export async function levels(key, { detector, min_area: area, since, count }) {
  const { maps, frames } = views.get(key), found = [];
  for (let number = since; number < Math.min(since + count, maps.length); number++) found.push(alarmLevel(enlarge(maps[number][detector], ...frames[number].size), area));
  return { since, levels: found };
}

const thresholdOf = ({ calibration, score }, text) => thresholdFor(calibration, score, String(text));
const maxAgeOf = ({ calibration }) => calibration?.tracking?.max_age ?? MAX_AGE;

// The same answer as the server's: regions with their tracks, all frames in their order.
export async function findings(key, { detector: at, threshold, min_area: area, since }) {
  const detector = detectors[at], maxAge = maxAgeOf(detector);
  const view = views.get(key), { value, meaning } = thresholdOf(detector, threshold), name = `${at}/${value}/${area}`;
  if (!view.found.has(name)) { view.found.clear(); view.found.set(name, { frames: [], tracker: new Tracker(maxAge), source: "" }); }
  const kept = view.found.get(name), inDistribution = InDistribution.of(detector.calibration, detector.score);
  const end = Math.min(since + 20, view.frames.length);
  while (kept.frames.length < end) {
    const number = kept.frames.length, frame = view.frames[number], quiet = area === null && frame.levels[at] <= value;
    const regions = quiet ? [] : find(enlarge(view.maps[number][at], ...frame.size), value, area ?? detector.min_area, inDistribution);
    if (frame.time !== null) {
      if (frame.source !== kept.source) { kept.source = frame.source; kept.tracker = new Tracker(maxAge); }
      const tracks = kept.tracker.link(regions, frame.shift, frame.size[1]);
      regions.forEach((region, at) => { region.track = tracks[at].id; region.hits = tracks[at].hits; region.trackMean = tracks[at].mean; });
    } else regions.forEach((region) => { region.track = null; region.hits = null; });
    for (const region of regions) region.counts = encodeRle(region);
    kept.frames.push(regions);
    await new Promise((done) => setTimeout(done));
  }
  return { since, done: kept.frames.length, of: view.frames.length, threshold: value, meaning, frames: kept.frames.slice(since, end) };
}

// What can be taken away without a server: the lines, and the frame as it is shown.
export function exportButtons(state, place) {
  place.replaceChildren(
    make("button", { type: "button", onclick: async () => save(new Blob([await lines(state)], { type: "application/jsonl" }), "detections.jsonl") }, "Lines (JSONL)"),
    make("button", { type: "button", onclick: () => document.querySelector("#pictures canvas").toBlob((blob) => save(blob, `${state.viewed.about.title}_${state.current}.png`)) }, "This frame (PNG)"));
}

async function lines(state) {
  const view = views.get(state.viewed.key), detector = detectors[state.active], dial = state.dials[state.active], threshold = dial.text || dial.value;
  const found = [];
  let told = null;
  while (found.length < view.frames.length) {
    told = await findings(view.key, { detector: state.active, threshold, min_area: state.minArea, since: found.length });
    found.push(...told.frames);
  }
  const { value, meaning } = thresholdOf(detector, threshold);
  const head = { type: "run", schema_version: 1, oddroad: detector.oddroad, model: detector.card, model_sha256: detector.sha256, engine: "onnxruntime-web",
    score: detector.score, threshold: value, threshold_meaning: meaning, settings: { min_area: state.minArea ?? detector.min_area, every: 1, min_hits: state.minHits, max_age: maxAgeOf(detector) },
    sources: [...new Set(view.frames.map((each) => each.source))], started: new Date().toISOString().replace(/\.\d+Z$/, "Z") };
  const body = view.frames.map((frame, number) => ({ type: "frame", source: frame.source, index: frame.index, time: frame.time, utc: null, width: frame.size[1], height: frame.size[0],
    status: "ok", reason: "", regions: found[number].filter((each) => each.hits === null || each.hits >= state.minHits).map((each) => ({ box: each.box, area: each.area,
      mean: each.mean, peak: each.peak, percentile: each.percentile, segmentation: { size: each.size, counts: each.counts },
      ...(each.track === null ? {} : { track: { id: each.track, hits: each.hits, mean: each.trackMean } }) })), milliseconds: { model: view.spent[number] } }));
  const summary = { type: "summary", frames: body.length, with_regions: body.filter((each) => each.regions.length).length, damaged: 0 };
  return [head, ...body, summary].map((each) => `${JSON.stringify(each)}\n`).join("");
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
