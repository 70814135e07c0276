// Calibrate by looking: choose drives, see alarms against the threshold, strike out frames, write the new card.

import { lineChart, table } from "./charts.js";
import { make, say, settled } from "./dom.js";
import { state as look } from "./look.js";
import { counted, general } from "./numbers.js";

const SHOWN = 60;
const state = { backend: null, about: null, detector: 0, chosen: new Map(), struck: new Map(), threshold: null, curve: null, section: null };

export function start(backend, about) { Object.assign(state, { backend, about }); }

export async function show(section) {
  if (!state.backend) return;
  if (section.children.length) { await list(); refresh(); return; }
  state.section = section;
  const part = (name) => (state[name] = make("div", {}));
  section.replaceChildren(make("h2", {}, "Calibrate by looking"),
    make("p", {}, "Choose drives of your own camera on which nothing odd lies. Each video, log or folder counts as one drive; guarantees rest on the number of drives."),
    make("div", { class: "columns" }, make("div", {}, make("h3", {}, "Drives"), part("list"), part("told")), make("div", {}, make("h3", {}, "Alarms against the threshold"), part("chart"), part("dial"))),
    make("h3", {}, "Frames that would alarm"), part("frames"), make("h3", {}, "New card"), part("write"));
  await list();
  form();
}

async function list() {
  const { sources } = await state.backend.json("/api/sources");
  state.list.replaceChildren(...sources.filter((each) => !each.live).map((each) => make("label", { class: "check" },
    make("input", { type: "checkbox", checked: state.chosen.has(each.key), onchange: (event) => (event.target.checked ? add(each) : drop(each)) }), each.title)));
  if (!state.list.children.length) state.list.append("There is no recorded source; name some when you start the page, or drop them under Look.");
}

async function add(source) {
  const drive = { source, frames: [], about: null };
  state.chosen.set(source.key, drive);
  try {
    const { key } = await state.backend.open(source.key);
    drive.key = key;
    while (state.chosen.get(source.key) === drive) {
      drive.about = await state.backend.view(key, drive.frames.length);
      drive.frames.push(...drive.about.frames);
      told();
      if (drive.about.state !== "working") break;
      await new Promise((done) => setTimeout(done, 500));
    }
  } catch (error) { say(error.message); }
  refresh();
}

function drop(source) { state.chosen.delete(source.key); told(); refresh(); }

function told() {
  state.told.replaceChildren(...[...state.chosen.values()].filter((each) => each.about).map(({ about }) =>
    make("p", {}, `${about.title}: ${about.total ? `${about.done} of ${counted(about.total, "frame")}` : counted(about.done, "frame")}, ${about.state}${about.error ? ` (${about.error})` : ""}`)));
}

const ready = () => [...state.chosen.values()].filter((each) => each.about && each.about.state !== "working" && each.frames.length);
const request = () => ({ views: ready().map((each) => each.key), detector: state.detector, roi: look.roi, struck: Object.fromEntries([...state.struck].filter(([key]) => ready().some((each) => each.key === key)).map(([key, set]) => [key, [...set]])) });

const refresh = settled(async () => {
  if (!ready().length) { for (const each of ["chart", "dial", "frames"]) state[each].replaceChildren(); return; }
  try {
    state.curve = await state.backend.post("/api/calibrations/curve", request());
    state.threshold ??= state.about.detectors[state.detector].threshold ?? state.curve.points[0].threshold;
    chart();
    frames();
  } catch (error) { say(error.message); }
}, 200);

function chart() {
  const { points, units, fps, drives, frames: count, scope } = state.curve, hour = fps ? 3600 * fps : null;
  const rows = [...points].reverse();
  state.chart.replaceChildren(lineChart([
    { name: "seen", points: rows.map((each) => [each.threshold, 100 * each.seen]), step: true },
    { name: "guaranteed with 95% confidence", points: rows.map((each) => [each.threshold, 100 * each.bound]), dashed: true, step: true },
  ], { title: `${look.roi === "" ? "" : look.roi === "all" ? "Whole picture: " : "Within the region drawn under Look: "}${counted(count, "frame")} of ${counted(drives, "drive")}, ${units.block === null ? counted(units.count, "independent drive") : `${counted(units.count, "independent block")} of up to ${counted(units.block, "frame")}`}`, x: "threshold", y: "frames with an alarm in 100", at: state.threshold, lowY: 0 }),
  make("details", {}, make("summary", {}, "As a table"), table(["threshold", "seen in 100", "guaranteed in 100", ...(hour ? ["seen an hour"] : [])],
    points.slice(0, 40).map((each) => [each.threshold, 100 * each.seen, 100 * each.bound, ...(hour ? [hour * each.seen] : [])]), `for ${scope}`)));
  const low = points.at(-1).threshold, high = points[0].threshold;
  const words = make("p", {});
  const speak = () => {
    const point = points.find((each) => each.threshold <= state.threshold) ?? points.at(-1);
    words.textContent = `Threshold ${general(state.threshold, 5)}: ${general(100 * point.seen, 3)} in 100 frames alarm here${hour ? ` (${counted(Math.round(hour * point.seen).toLocaleString("en"), "such frame")} an hour at ${general(fps, 3)} FPS)` : ""}; guaranteed at most ${general(100 * point.bound, 3)} in 100.`;
  };
  const slider = make("input", { type: "range", id: "calibrateAt", min: 0, max: 1000, value: Math.round(1000 * (state.threshold - low) / (high - low || 1)) });
  slider.oninput = () => { state.threshold = low + (high - low) * slider.value / 1000; speak(); moved(); };
  speak();
  const alarms = make("p", { role: "status" });
  state.dial.replaceChildren(make("label", { htmlFor: "calibrateAt" }, "Threshold"), slider, words, alarms);
  heard(alarms).catch((error) => say(error.message));
}

// Alarms as a driver hears them, once for each thing: tracks that begin at the threshold and the hits set under Look.
async function heard(place) {
  const { threshold, detector } = state, hits = look.minHits;
  let alarms = 0, hours = 0;
  for (const drive of ready().filter((each) => each.about.kind !== "images")) {
    for (let since = 0; since < drive.frames.length;) {
      const told = await state.backend.findings(drive.key, { detector, threshold, roi: look.roi, since });
      if (threshold !== state.threshold) return;
      if (!told.frames.length) break;
      const struck = state.struck.get(drive.key);
      told.frames.forEach((found, at) => { alarms += struck?.has(since + at) ? 0 : (found ?? []).filter((each) => each.hits === hits).length; });
      since += told.frames.length;
    }
    if (drive.about.rate) hours += drive.frames.length * drive.about.every / drive.about.rate / 3600;
  }
  if (hours) place.textContent = `${counted(alarms, "alarm")} in ${hours < 1 / 60 ? counted(general(3600 * hours, 3), "second") : counted(general(60 * hours, 3), "minute")}, each thing counted once (min_hits ${hits}): ${Math.round(alarms / hours).toLocaleString("en")} an hour as seen, without a guarantee.`;
}

const moved = settled(() => { chart(); frames(); document.getElementById("calibrateAt").focus(); }, 250);

function frames() {
  const alarming = ready().flatMap((drive) => (state.curve.levels[drive.key] ?? []).map(([number, level]) => ({ drive, number, level })))
    .filter((each) => each.level > state.threshold).sort((a, b) => b.level - a.level);
  state.frames.replaceChildren(make("p", {}, alarming.length ? `${counted(alarming.length, "frame")} would alarm; shown, the highest first: ${Math.min(SHOWN, alarming.length)}. Strike out those on which something odd truly lies.` : "No frame would alarm."),
    make("div", { class: "gallery" }, ...alarming.slice(0, SHOWN).map(({ drive, number, level }) => {
      const set = state.struck.get(drive.key) ?? new Set(), words = `${drive.source.title} frame ${number}, ${level.toFixed(2)}`;
      const box = make("input", { type: "checkbox", checked: set.has(number) });
      const figure = make("figure", { class: set.has(number) ? "struck" : "" }, make("img", { src: `/api/views/${drive.key}/frames/${number}.jpg`, alt: words, loading: "lazy" }),
        make("figcaption", {}, make("label", { class: "check" }, box, `strike out ${words}`)));
      box.onchange = () => {
        if (box.checked) set.add(number); else set.delete(number);
        state.struck.set(drive.key, set);
        figure.className = box.checked ? "struck" : "";
        refresh();
      };
      return figure;
    })));
}

function form() {
  const rule = make("input", { id: "rule", value: "no-alarms", spellcheck: false }), out = make("p", { role: "status" });
  const begin = make("button", { type: "button" }, "Write the new card");
  begin.onclick = async () => {
    begin.disabled = true;
    out.replaceChildren();
    try {
      let job = await state.backend.post("/api/calibrations", { ...request(), rule: rule.value, min_hits: look.minHits });
      while (job.state === "working") {
        out.textContent = `${job.done} of ${counted(job.total, "frame")}`;
        await new Promise((done) => setTimeout(done, 400));
        job = await state.backend.json(`/api/calibrations/${job.key}`);
      }
      if (job.state === "failed") throw new Error(job.error);
      out.replaceChildren(`${job.meaning}. ${job.notes.join("; ")} `, make("a", { class: "button", href: `/api/calibrations/${job.key}/file`, download: "" }, "Save the detector with its new card"));
    } catch (error) { out.textContent = error.message; }
    begin.disabled = false;
  };
  state.write.replaceChildren(make("label", { htmlFor: "rule" }, "Threshold of the card, in the threshold language"), rule, begin, out);
}
