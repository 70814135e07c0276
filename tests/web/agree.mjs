// Does the page's JavaScript find what Python found? usage: node agree.mjs VECTORS.json PAGE_FOLDER

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [, , file, folder] = process.argv;
const load = (name) => import(pathToFileURL(`${folder}/${name}`).href);
const { InDistribution, alarmLevel, decodeRle, encodeRle, find } = await load("regions.js");
const { enlarge, resizePicture } = await load("resize.js");
const { CameraShift, Tracker } = await load("tracking.js");
const { thresholdFor } = await load("thresholds.js");
const vectors = JSON.parse(readFileSync(file, "utf8"));
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
const map = ({ shape: [height, width], data }) => ({ height, width, data: new Float32Array(bytes(data).buffer) });
const wrong = [];
const near = (a, b, most) => (a === null || b === null ? a === b : Math.abs(a - b) <= most);
const check = (good, words) => { if (!good) wrong.push(words); };

const inDistribution = InDistribution.of(vectors.calibration, vectors.score);
vectors.regions.forEach((each, at) => {
  const found = find(map(each.map), each.threshold, each.min_area, each.joined ? inDistribution : null,
    each.inside === null ? null : decodeRle(each.inside, each.map.shape));
  const same = found.length === each.regions.length && found.every((region, number) => {
    const other = each.regions[number];
    return region.box.join() === other.box.join() && region.area === other.area && near(region.mean, other.mean, 1e-9)
      && region.peak === other.peak && near(region.percentile, other.percentile, 1e-12)
      && encodeRle(region) === other.counts;
  });
  check(same, `regions ${at}: ${JSON.stringify(found.map((r) => [r.box, r.area]))}`);
});
vectors.levels.forEach((each, at) => {
  const found = alarmLevel(map(each.map), each.min_area);
  check(found === each.level, `level ${at}: ${found}, ${each.level}`);
});
vectors.resized.forEach((each, at) => {
  const [height, width] = each.image.shape, rgb = bytes(each.image.data), rgba = new Uint8ClampedArray(height * width * 4);
  for (let pixel = 0; pixel < height * width; pixel++) rgba.set(rgb.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
  const found = resizePicture(rgba, height, width, ...each.size), other = bytes(each.resized.data);
  check(found.length === other.length && found.every((value, number) => value === other[number]), `resized ${at}`);
});
vectors.enlarged.forEach((each, at) => {
  const found = enlarge(map(each.low), ...each.size), other = map(each.map);
  let most = 0;
  found.data.forEach((value, number) => { most = Math.max(most, Math.abs(value - other.data[number])); });
  check(most <= 1e-6, `enlarged ${at}: ${most}`);
});
const tracker = new Tracker(), camera = new CameraShift(), [height, width] = vectors.tracks.size;
vectors.tracks.steps.forEach((each, at) => {
  const rgb = bytes(each.image.data), rgba = new Uint8ClampedArray(height * width * 4);
  for (let pixel = 0; pixel < height * width; pixel++) rgba.set(rgb.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
  const shift = camera.next(rgba, height, width);
  check(near(shift[0], each.shift[0], 0.01) && near(shift[1], each.shift[1], 0.01), `shift ${at}: ${shift}, ${each.shift}`);
  const tracks = tracker.link(each.regions, shift, width);
  const same = tracks.every((track, number) => track.id === each.tracks[number].id
    && track.hits === each.tracks[number].hits && near(track.mean, each.tracks[number].mean, 1e-9));
  check(same && tracks.length === each.tracks.length, `tracks ${at}`);
});
for (const each of vectors.thresholds) {
  let found = { value: null, meaning: "" };
  const calibration = each.roi ? { ...vectors.calibration, roi: each.roi, of: "drive", drives: 1 } : { ...vectors.calibration };
  if (each.tracks) {
    calibration.tracking = each.tracks.tracking;
    calibration.scores = { [vectors.score]: { ...calibration.scores[vectors.score], tracks: each.tracks.tracks } };
  }
  try { found = thresholdFor(calibration, vectors.score, each.text); } catch { /* refused */ }
  check(found.value === each.value, `threshold '${each.text}': ${found.value}, ${each.value}`);
  check(found.meaning === each.meaning, `meaning of '${each.text}': ${found.meaning}, ${each.meaning}`);
}
const count = vectors.regions.length + vectors.levels.length + vectors.resized.length + vectors.enlarged.length + vectors.tracks.steps.length + vectors.thresholds.length;
console.log(wrong.length ? wrong.join("\n") : `${count} agree`);
process.exit(wrong.length ? 1 : 0);
