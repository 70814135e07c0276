// The threshold: a slider, words of the threshold language, and what a value means.

import { percent } from "./colours.js";
import { $, make, say } from "./dom.js";
import { counted } from "./numbers.js";
import { guaranteeOf, in100, thresholdFor } from "./thresholds.js";

function speed(state) {
  const about = state.viewed?.about;
  return about?.rate ? about.rate / about.every : null;
}

// Set the threshold by words; with two detectors, of both: each gets the value that its own calibration gives.
export async function setThreshold(state, text) {
  say("");
  const chosen = /^[-+.\d]/.test(text.trim()) ? [state.dials[state.active]] : state.dials;
  for (const dial of chosen) {
    try {
      const found = thresholdFor(dial.detector.calibration, dial.detector.score, text);
      Object.assign(dial, { value: found.value, meaning: found.meaning, text: text.trim() });
      dial.widen(dial.value);
    } catch (error) { say(`${state.dials.length > 1 ? `${dial.detector.name}: ` : ""}${error.message}`); }
  }
}

export function showThreshold(state) {
  const dial = state.dials[state.active], { calibration, score } = dial.detector, value = dial.value;
  $("slider").value = Math.round(1000 * dial.share);
  const rate = guaranteeOf(calibration, score, value), fps = speed(state);
  const share = dial.inDistribution ? percent(dial.inDistribution.percentile(value)) : "not calibrated";
  const alarms = rate === null ? "not calibrated" : rate >= 1 ? "no guarantee" : `at most ${in100(rate)} frames`;
  const hourly = rate === null || rate >= 1 || !fps ? null : `at most ${counted(Math.ceil(rate * fps * 3600), "such frame")} an hour at ${fps.toFixed(fps % 1 ? 1 : 0)} FPS`;
  $("slider").setAttribute("aria-valuetext", `${value.toFixed(3)}, false alarms ${alarms}`);
  $("meaning").replaceChildren(...[["Score", `> ${value.toFixed(4)}`], ["Percentile", `${share} of in-distribution pixels lie below`],
    ["False alarms", alarms], ["", hourly]].filter(([, words]) => words).flatMap(([name, words]) => [make("dt", {}, name), make("dd", {}, words)]));
  const spoken = dial.text && dial.meaning ? dial.meaning : calibration
    ? `${Math.round(100 * calibration.confidence)}% confidence, ${counted(calibration.frames, "frame")} of ${calibration.data} (${calibration.date})` : "Run 'oddroad calibrate', or the page Calibrate, for guarantees.";
  $("guarantee").textContent = spoken;
  ticks(dial);
}

function ticks(dial) {
  const marks = [];
  if (dial.detector.threshold !== null) marks.push([dial.detector.threshold, "card"]);
  for (const each of dial.inDistribution ? [0.9, 0.99, 0.999] : []) marks.push([dial.inDistribution.quantile(each), percent(each)]);
  const taken = [];
  $("ticks").replaceChildren(...marks.flatMap(([value, words]) => {
    const place = 100 * (value - dial.low) / (dial.high - dial.low);
    if (place < 4 || place > 96 || taken.some((other) => Math.abs(other - place) < 13)) return [];
    taken.push(place);
    const mark = make("span", {}, words);
    mark.style.left = `${place}%`;
    return [mark];
  }));
}
