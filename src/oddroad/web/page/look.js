// Looking at one source: frames, maps, the threshold, what is found, and taking it away.

import { $, choices, clock, make, say, settled } from "./dom.js";
import { followed } from "./found.js";
import { counted } from "./numbers.js";
import { paint, pointed } from "./picture.js";
import { Dial, Viewed } from "./state.js";
import { drawTimeline, frameAt } from "./timeline.js";
import { setThreshold, showThreshold } from "./dial.js";
import { interest } from "./interest.js";
import { fillLibrary, listen } from "./library.js";

export const state = {
  backend: null, about: null, viewed: null, current: 0, active: 0, dials: [], mode: "marked", opacity: 0.5, minHits: 1,
  minArea: null, roi: "", corners: null, showLeft: false, playing: 0, found: null, levels: null, cursor: null,
};

export function show() { draw(); }

export function start(backend, about) {
  Object.assign(state, { backend, about, dials: about.detectors.map((each) => new Dial(each)), minHits: about.detectors[0].calibration?.tracking?.min_hits ?? 1 });
  $("hits").max = Math.max(10, state.minHits);
  $("hits").value = $("hitsShown").textContent = state.minHits;
  const modes = [["marked", "What is marked"], ["map", "All scores"], ["plain", "The frame alone"]];
  if (state.dials.length > 1) modes.push(["difference", "The difference"]);
  choices($("modes"), "mode", modes, state.mode, (value) => { state.mode = value; draw(); });
  $("which").hidden = state.dials.length < 2;
  choices($("which"), "which", about.detectors.map((each, at) => [at, each.name]), 0, (value) => { state.active = value; changed(); });
  $("slider").oninput = () => { dial().share = $("slider").value / 1000; changed(); };
  $("ask").onsubmit = (event) => { event.preventDefault(); setThreshold(state, $("words").value).then(changed); };
  $("opacity").oninput = () => { state.opacity = $("opacity").value / 100; draw(); };
  $("hits").oninput = () => { state.minHits = Number($("hits").value); $("hitsShown").textContent = state.minHits; reportChanged(); };
  $("left").onchange = () => { state.showLeft = $("left").checked; draw(); };
  $("area").onchange = () => { state.minArea = $("area").value === "" ? null : Math.max(0, Math.floor(Number($("area").value))); changed(); };
  $("frame").oninput = () => go(Number($("frame").value));
  $("back").onclick = () => go(state.current - 1);
  $("forward").onclick = () => go(state.current + 1);
  $("next").onclick = () => jump(1);
  $("before").onclick = () => jump(-1);
  $("play").onclick = () => (state.playing ? pause() : play());
  $("stop").onclick = () => state.backend.stop(state.viewed.key);
  $("timeline").onclick = (event) => go(frameAt($("timeline"), event, Math.max(state.viewed?.about.total ?? 0, count(), 1)));
  state.redraw = draw;
  interest(state, changed);
  addEventListener("keydown", keys);
  addEventListener("resize", settled(draw, 100));
  listen(state, openSource);
  fillLibrary(state, openSource);
  showThreshold(state);
}

export const dial = () => state.dials[state.active];
const count = () => state.viewed?.frames.length ?? 0;

export async function openSource(source) {
  pause();
  say("");
  const told = await state.backend.open(source.key);
  const viewed = new Viewed(state.backend, state.about, told.key);
  Object.assign(state, { viewed, current: 0, found: null, levels: null, cursor: null });
  $("stop").hidden = false;
  for (;;) {
    const before = count();
    const more = await viewed.update();
    if (state.viewed !== viewed) return;
    progress();
    if (count() && (before === 0 || viewed.about.live)) await go(viewed.about.live ? count() - 1 : 0);
    else draw();
    if (before !== count()) { reach(); refresh(); }
    if (!more) break;
    await new Promise((done) => setTimeout(done, 400));
  }
  $("stop").hidden = true;
  refresh();
}

// The sliders reach everything that occurs in this source.
function reach() {
  state.dials.forEach((each, at) => {
    for (const frame of state.viewed.frames) if (frame.levels[at] !== null) each.widen(frame.levels[at]);
  });
  showThreshold(state);
}

function progress() {
  const { done, total, state: now, error, fps, hint } = state.viewed.about;
  if (total) { $("bar").max = total; $("bar").value = done; } else $("bar").removeAttribute("value");
  const words = { working: "judging", done: "all judged", stopped: "stopped", failed: "failed" }[now];
  $("far").textContent = `${words}: ${total ? `${done} of ${counted(total, "frame")}` : counted(done, "frame")}, ${fps.toFixed(1)} FPS${hint ? `; ${hint}` : ""}`;
  if (error) say(error);
}

// Something that decides on the regions was changed: what is shown follows at once, tracks and lists a moment later.
export function changed() {
  state.found = null;
  showThreshold(state);
  draw();
  refresh();
}

function reportChanged() { draw(); lists(); }

const refresh = settled(async () => {
  const { viewed } = state;
  if (!viewed || !count()) return;
  try {
    const found = await followed(state, dial(), () => state.viewed === viewed);
    if (found) { state.found = found; draw(); lists(); }
  } catch (error) { say(error.message); }
}, 250);

export async function go(number) {
  if (!count()) return;
  state.current = Math.max(0, Math.min(count() - 1, number));
  await draw();
}

function jump(step) {
  const alarms = state.found?.alarms(state.minHits) ?? [];
  const next = step > 0 ? alarms.find((each) => each > state.current) : alarms.findLast((each) => each < state.current);
  if (next === undefined) say(step > 0 ? "no later alarm" : "no earlier alarm"); else { say(""); go(next); }
}

async function play() {
  const turn = (state.playing = Date.now()), { viewed } = state;
  if (!viewed) { state.playing = 0; return; }
  $("play").textContent = "Pause";
  if (state.current >= count() - 1) state.current = -1;
  const pace = 1000 / Math.min(viewed.about.rate ? viewed.about.rate / viewed.about.every : 2, 30);
  while (state.playing === turn && state.viewed === viewed && state.current < count() - 1) {
    const began = performance.now();
    await go(state.current + 1);
    await new Promise((done) => setTimeout(done, Math.max(0, pace - (performance.now() - began))));
  }
  if (state.playing === turn) pause();
}

function pause() { state.playing = 0; $("play").textContent = "Play"; }

function keys(event) {
  if ($("look").hidden || event.ctrlKey || event.altKey || event.metaKey) return;
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName), canvas = event.target.tagName === "CANVAS";
  if (canvas && event.shiftKey && event.key.startsWith("Arrow")) {
    event.preventDefault();
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const [height, width] = state.viewed.frames[state.current].size, at = state.cursor ?? [width >> 1, height >> 1];
    state.cursor = [Math.max(0, Math.min(width - 1, at[0] + 4 * step[0])), Math.max(0, Math.min(height - 1, at[1] + 4 * step[1]))];
    pointed(state);
    draw();
    return;
  }
  if (typing) return;
  const act = { ArrowLeft: () => go(state.current - 1), ArrowRight: () => go(state.current + 1), n: () => jump(1), p: () => jump(-1),
    "[": () => { dial().share -= 0.005; changed(); }, "]": () => { dial().share += 0.005; changed(); } }[event.key];
  if (act) { event.preventDefault(); act(); }
}

let drawing = Promise.resolve(), wanted = 0;

// Draw everything that shows the current frame; while one drawing runs, only the last that was asked for follows it.
export function draw() {
  const turn = ++wanted;
  drawing = drawing.then(async () => {
    if (turn !== wanted || !state.viewed || !count()) return;
    const frame = state.viewed.frames[state.current];
    $("frame").max = count() - 1;
    $("frame").value = state.current;
    $("where").textContent = `${frame.source}${frame.index === null ? "" : `#${frame.index}`}${frame.time === null ? "" : ` at ${clock(frame.time)}`}${frame.status === "ok" ? "" : ` (not judged: ${frame.reason})`}`;
    $("frame").setAttribute("aria-valuetext", $("where").textContent);
    state.shown = await paint(state);
    line();
    regions();
  }).catch((error) => say(error.message));
  return drawing;
}

function line() {
  const { viewed, found, active } = state;
  const levels = state.levels?.[active];
  const frames = levels ? viewed.frames.map((each, at) => ({ ...each, levels: { [active]: levels[at] ?? null } })) : viewed.frames;
  const reported = found?.frames.map((each) => each?.some((region) => (region.hits ?? Infinity) >= state.minHits));
  const alarms = found?.alarms(state.minHits);
  drawTimeline($("timeline"), { frames, total: viewed.about.total, detector: active, dial: dial(), reported, alarms, current: state.current });
  const judged = frames.filter((each) => each.status === "ok" && each.levels[active] !== null);
  const above = judged.filter((each) => each.levels[active] > dial().value).length;
  const damaged = viewed.frames.length - viewed.frames.filter((each) => each.status === "ok").length;
  const after = reported ? `; ${reported.filter(Boolean).length} reported with min_hits ${state.minHits}, ${counted(alarms.length, "alarm")}` : "";
  $("legend").textContent = `A region above the threshold in ${above} of ${counted(judged.length, "judged frame")}${after}${damaged ? `; ${counted(damaged, "damaged frame")} NOT judged` : ""}. Bars: how high each frame would raise the threshold; triangles: alarms.`;
}

function regions() {
  const list = state.shown?.[state.active] ?? [];
  $("regions").replaceChildren(...list.filter((each) => each.reported !== false || state.showLeft).map((each) => make("li", {},
    make("button", { type: "button", onclick: () => { state.cursor = [(each.box[0] + each.box[2]) >> 1, (each.box[1] + each.box[3]) >> 1]; pointed(state); draw(); } },
      `${each.track ? `#${each.track} ` : ""}peak ${each.peak.toFixed(2)}, ${each.area} px`, make("small", {}, ` at ${each.box[0]}, ${each.box[1]}${each.hits ? `, seen in ${each.hits}` : ""}`)))));
  if (!$("regions").children.length) {
    const frame = state.viewed.frames[state.current];
    const few = list.length ? `${list.length} above the threshold, of too few hits to be reported.` : "No region above the threshold.";
    $("regions").append(make("li", {}, frame.status === "ok" ? few : `This frame was NOT judged: ${frame.reason}.`));
  }
}

function lists() {
  const tracks = state.found?.tracks(state.minHits) ?? [];
  $("tracks").replaceChildren(...tracks.slice(0, 400).map((each) => make("li", {},
    make("button", { type: "button", onclick: () => go(each.first) }, `#${each.id} ${each.source}`,
      make("small", {}, ` frames ${each.first} to ${each.last}, seen in ${each.hits}, peak ${each.peak.toFixed(2)}`)))));
  if (!tracks.length) $("tracks").append(make("li", {}, state.viewed?.about.kind === "images" ? "Pictures have no tracks." : "No track is reported."));
  const one = dial(), values = { detector: state.active, threshold: one.text || one.value, min_area: state.minArea, min_hits: state.minHits, roi: state.roi };
  $("exports").replaceChildren(...[["jsonl", "Lines (JSONL)", {}], ["coco", "COCO", {}], ["still", "This frame (PNG)", { frame: state.current }], ["clip", "Clip (MP4)", {}]]
    .map(([what, words, more]) => state.backend.exportLink && make("a", { class: "button", download: "", href: state.backend.exportLink(state.viewed.key, what, { ...values, ...more }),
      onclick: (event) => { if (what === "still") event.currentTarget.href = state.backend.exportLink(state.viewed.key, what, { ...values, frame: state.current }); } }, words)).filter(Boolean));
  state.backend.exportButtons?.(state, $("exports"));
}
