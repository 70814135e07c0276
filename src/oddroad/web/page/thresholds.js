// The threshold language and its guarantees: oddroad/calibration/thresholds.py and drives.py in JavaScript. Both are
// held to the same test vectors.

import { counted, general } from "./numbers.js";

export const FORMS = "a number, 'no-alarms', 'alarms=1/100frames', 'alarms=6/hour', 'alarms=2/100km' or 'fpr=0.1%'";

function number(text, of) {
  const value = text.trim() === "" ? NaN : Number(text);
  if (!(Number.isFinite(value) && value > 0)) throw new Error(`threshold '${of}' holds '${text}'; expected a number above 0`);
  return value;
}

function share(value, of) {
  if (value > 1) throw new Error(`threshold '${of}' asks for a rate of ${general(value, 3)}, which is above 1; expected a share`);
  return value;
}

// What a threshold asks for: ["fpr" | "alarms" | "hour" | "100km" | "no-alarms" | "value", number].
export function parseThreshold(given) {
  const text = given.trim();
  if (text === "no-alarms") return [text, 0];
  let match = /^fpr=([^%]+)(%?)$/.exec(text);
  if (match) return ["fpr", share(number(match[1], text) / (match[2] ? 100 : 1), text)];
  match = /^alarms=([^/]+)\/([\d.]*)frames?$/.exec(text);
  if (match) return ["alarms", share(number(match[1], text) / (match[2] ? number(match[2], text) : 1), text)];
  match = /^alarms=([^/]+)\/hour$/.exec(text);
  if (match) return ["hour", number(match[1], text)];
  match = /^alarms=([^/]+)\/100 ?km(?:@(.+)km\/h)?$/.exec(text);
  if (match) {
    const rate = number(match[1], text);
    return match[2] ? ["hour", rate * number(match[2], text) / 100] : ["100km", rate];
  }
  if (/^alarms=.*\/hour@.*fps$/.test(text)) throw new Error(`'${text}': an hour counts alarms, not frames; for frames write 'alarms=1/100frames'`);
  const value = text === "" ? NaN : Number(text);
  if (!Number.isFinite(value)) throw new Error(`threshold '${text}' is not understood; expected ${FORMS}`);
  return ["value", value];
}

const LANCZOS = [676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];

function logGamma(x) {
  x -= 1;
  let sum = 0.99999999999980993;
  LANCZOS.forEach((each, at) => { sum += each / (x + at + 1); });
  const t = x + LANCZOS.length - 0.5;
  return 0.5 * Math.log(2 * Math.PI) + (x + 0.5) * Math.log(t) - t + Math.log(sum);
}

function divergence(low, high) {
  return (low > 0 ? low * Math.log(low / high) : 0) + (1 - low) * Math.log((1 - low) / (1 - high));
}

function binomialBelow(most, count, rate) {
  let sum = 0;
  for (let i = 0; i <= Math.min(most, count); i++) {
    sum += Math.exp(logGamma(count + 1) - logGamma(i + 1) - logGamma(count - i + 1)
      + i * Math.log(rate) + (count - i) * Math.log1p(-rate));
  }
  return Math.min(sum, 1);
}

// The rate that the true mean of `count` independent values in [0, 1] is at most, with confidence.
export function meanBound(mean, count, confidence) {
  if (count < 1 || mean >= 1) return 1;
  const chance = (rate) => Math.min(Math.exp(-count * divergence(mean, rate)),
    Math.E * binomialBelow(Math.ceil(count * mean - 1e-6), count, rate));
  let low = mean, high = 1 - 1e-12;
  if (chance(high) > 1 - confidence) return 1;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (chance(middle) > 1 - confidence) low = middle; else high = middle;
  }
  return high;
}

function unitsNeeded(rate, confidence) {
  return Math.max(1, Math.ceil(Math.log(1 - confidence) / Math.log1p(-rate) - 1e-9));
}

function thresholdForRate(curve, units, rate, confidence) {
  if (units.best > rate + 1e-12) return null;
  let low = 0, high = curve.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (meanBound(curve[middle][1], units.equal, confidence) <= rate) low = middle; else high = middle - 1;
  }
  return curve[low][0];
}

// A share in words, rounded up: "4.2 in 100".
export function in100(rate) {
  const digits = rate < 0.1 ? 2 : 3, scale = 10 ** (digits - 1 - Math.floor(Math.log10(100 * rate)));
  return `${general(Math.ceil(100 * rate * scale - 1e-6) / scale, digits)} in 100`;
}

function blocks(units) {
  return `${counted(units.count, "independent block")} of up to ${counted(units.block, "frame")}`;
}

function spokenOf({ drives, of, scope }, units) {
  const parts = of === "drive" ? "later parts" : "other scenes";
  const these = drives === 1 ? `this ${of}` : `these ${drives} ${of}s`;
  return scope === "new-drives" ? `for new ${of}s like these ${drives}, each counting alike` : `for ${parts} of ${these}, ${blocks(units)}`;
}

function basis(calibration, units) {
  const { confidence, frames, data, date } = calibration;
  return `${spokenOf(calibration, units)}; ${Math.round(100 * confidence)}% confidence, from ${counted(frames, "frame")} of ${data} (${date})`;
}

// The region of interest that a guarantee speaks of, in words.
function where({ roi }) {
  if (!roi) return "";
  return ` within ${{ road: "the road", polygon: "a polygon", mask: `the mask '${roi.name}'` }[roi.kind]}`;
}

function byPixels(calibration, score, rate) {
  const kept = calibration.scores[score].fpr, fitting = kept.filter((each) => each[0] <= rate * (1 + 1e-9));
  if (!fitting.length) {
    const least = Math.min(...kept.map((each) => each[0]));
    throw new Error(`fpr=${general(rate, 3)} is smaller than the calibration holds; ask for fpr=${(100 * least).toFixed(2)}% or more`);
  }
  const [used, value, units] = fitting.reduce((best, each) => (each[0] > best[0] ? each : best));
  const covered = `${Math.round(100 * calibration.coverage)}%`;
  if (value === null) throw new Error(tooFew(`fpr=${general(rate, 3)}`, 1 - calibration.coverage, calibration, units));
  return { value, meaning: `${score} > ${general(value, 6)}: at most ${general(used, 3)} of the in-distribution pixels `
    + `of a frame${where(calibration)} lie above, in ${covered} of frames, ${basis(calibration, units)}` };
}

function alarmWords(calibration) {
  const pixels = calibration.min_area;
  return `a false alarm of ${pixels === null ? "1 in 10,000 pixels" : counted(pixels, "pixel")} or more${where(calibration)}`;
}

function byAlarms(calibration, score, rate, asked) {
  const { alarms, units } = calibration.scores[score], region = alarmWords(calibration);
  if (rate === null) {
    const value = alarms[0][0];
    return { value, meaning: `${score} > ${general(value, 6)}: no frame of the calibration has ${region}, and at most `
      + `${in100(units.best)} frames have one, ${basis(calibration, units)}` };
  }
  const value = thresholdForRate(alarms, units, rate, calibration.confidence);
  if (value === null) throw new Error(tooFew(asked, rate, calibration, units));
  return { value, meaning: `${score} > ${general(value, 6)}: at most ${in100(rate)} frames have ${region}, `
    + basis(calibration, units) };
}

// A drive of more alarms than so many times the rate counts as one of so many.
const SWARM = 10;

// Alarms an hour or in 100 km, from the curves that a calibration on drives keeps: the lowest threshold of which, and of
// all above, the rate is promised.
function byTracks(calibration, score, given, kind, asked) {
  const found = calibration.scores[score].tracks, settings = calibration.tracking;
  if (!found) throw new Error(`'${asked}': calibrated on frames and not on alarms; calibrate on videos or logs with --threshold ${asked}`);
  const curve = found.curves[String(settings.min_hits)], far = kind === "100km" && curve[0][4] !== null;
  if (kind === "100km" && !far && settings.speed === undefined) throw new Error(`'${asked}' needs a speed, such as '${asked}@90km/h'`);
  const rate = kind === "100km" && !far ? given * settings.speed / 100 : given, column = far ? 3 : 1;
  const end = curve.findIndex((row) => row[column] === null || row[column] > rate * (1 + 1e-9));
  if (end === 0) throw new Error(`'${asked}' cannot be promised by the ${calibration.of}s of the calibration; calibrate on more`);
  const value = curve[end < 0 ? curve.length - 1 : end - 1][0];
  const hits = settings.min_hits, per = far ? "in 100 km" : "an hour", one = found.block === null ? calibration.of : "block";
  const cap = Math.max(SWARM * rate, found.units / (far ? found.kilometres / 100 : found.hours));
  const every = settings.every === 1 ? "every frame" : `one frame in ${settings.every}`;
  return { value, meaning: `${score} > ${general(value, 6)}: at most ${counted(general(rate, 6), "alarm")} ${per}, each ${alarmWords(calibration)} `
    + `(tracks of ${counted(hits, "hit")} or more, ${every}, missed for ${settings.max_age} at most), `
    + `${spokenOf(calibration, { count: found.units, block: found.block })}, a ${one} of more than ${general(cap, 3)} ${per} counting as one `
    + `of so many; ${Math.round(100 * calibration.confidence)}% confidence, from ${counted(calibration.frames, "frame")} in ${counted(general(found.hours, 3), "hour")} of `
    + `${calibration.data} (${calibration.date})` };
}

function tooFew(text, rate, calibration, units) {
  const kind = units.block === null ? calibration.of : "block";
  return `'${text}' takes ${counted(unitsNeeded(rate, calibration.confidence), `independent ${kind}`)} without an alarm; the `
    + `calibration has ${units.count}, which can guarantee ${in100(units.best)} frames at best: calibrate on more `
    + `${calibration.of}s, or take 'no-alarms'`;
}

// Read a threshold in the language: its value, and what it means.
export function thresholdFor(calibration, score, text) {
  const [kind, value] = parseThreshold(text);
  if (kind === "value") return { value, meaning: `${score} > ${general(value, 6)}: a number that was given, without a guarantee` };
  if (!calibration?.scores?.[score]) throw new Error(`the detector carries no calibration of the score '${score}'; give a number`);
  if (kind === "hour" || kind === "100km") return byTracks(calibration, score, value, kind, text.trim());
  return kind === "fpr" ? byPixels(calibration, score, value)
    : byAlarms(calibration, score, kind === "no-alarms" ? null : value, text.trim());
}

// What a value guarantees: the share of frames with a false alarm that it stays below; null without a calibration.
export function guaranteeOf(calibration, score, value) {
  const found = calibration?.scores?.[score];
  if (!found) return null;
  const at = found.alarms.findIndex((pair) => pair[0] <= value), rate = at < 0 ? 1 : found.alarms[at][1];
  return rate > 0 ? Math.max(found.units.best, meanBound(rate, found.units.equal, calibration.confidence)) : found.units.best;
}
