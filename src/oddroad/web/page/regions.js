// From a score map and a threshold to regions: oddroad/regions.py in JavaScript. Both are held to the same test vectors.

import { interpolate } from "./numbers.js";

const JOINED_ABOVE = 0.9995;

// What in-distribution pixels score: the quantiles of a card. Shares and values ascend.
export class InDistribution {
  constructor(pairs, join = null) {
    this.join = join;
    this.shares = pairs.map((pair) => pair[0]);
    this.values = pairs.map((pair) => pair[1]);
  }

  static of(calibration, score) {
    const known = calibration?.scores?.[score];
    return known?.quantiles?.length ? new InDistribution(known.quantiles, known.tracks?.join ?? null) : null;
  }

  percentile(score) { return interpolate(score, this.values, this.shares); }

  quantile(share) { return interpolate(share, this.shares, this.values); }

  joining(threshold) {
    const level = this.join ?? this.quantile(JOINED_ABOVE);
    return level < threshold ? level : null;
  }
}

// The box [x0, y0, x1, y1] around the pixels above a threshold, x1 and y1 outside; null where there is none.
function around(heat, threshold, inside) {
  const { data, height, width } = heat;
  let x0 = width, y0 = -1, x1 = 0, y1 = 0;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if (data[at] > threshold && (!inside || inside[at])) {
        if (y0 < 0) y0 = y;
        y1 = y + 1;
        if (x < x0) x0 = x;
        if (x >= x1) x1 = x + 1;
      }
    }
  }
  return y0 < 0 ? null : [x0, y0, x1, y1];
}

// Connected parts (8 neighbours) above a threshold within a box: labels (1, 2, ...) and what is known of each part.
// They are numbered as OpenCV does it, by their first block of 2 x 2 pixels.
export function parts(heat, threshold, inside = null) {
  const level = Math.fround(threshold), box = around(heat, level, inside);
  if (!box) return { box: [0, 0, 0, 0], wide: 0, labels: new Int32Array(0), found: [] };
  const [x0, y0, x1, y1] = box, wide = x1 - x0, high = y1 - y0, { data, width } = heat;
  const labels = new Int32Array(wide * high), parent = [0];
  const root = (label) => {
    while (parent[label] !== label) { parent[label] = parent[parent[label]]; label = parent[label]; }
    return label;
  };
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      const at = y * wide + x;
      const place = (y + y0) * width + x + x0;
      if (!(data[place] > level) || (inside && !inside[place])) continue;
      let label = 0;
      const join = (other) => {
        if (!other) return;
        const found = root(other);
        if (!label) label = found;
        else if (found !== label) {
          const least = Math.min(found, label);
          parent[Math.max(found, label)] = least;
          label = least;
        }
      };
      if (x > 0) join(labels[at - 1]);
      if (y > 0) {
        if (x > 0) join(labels[at - wide - 1]);
        join(labels[at - wide]);
        if (x < wide - 1) join(labels[at - wide + 1]);
      }
      if (!label) { label = parent.length; parent.push(label); }
      labels[at] = label;
    }
  }
  const blocks = (width + 1) >> 1, byRoot = new Map();
  for (let y = 0, at = 0; y < high; y++) {
    for (let x = 0; x < wide; x++, at++) {
      if (!labels[at]) continue;
      const own = root(labels[at]), px = x + x0, py = y + y0;
      labels[at] = own;
      let part = byRoot.get(own);
      if (!part) byRoot.set(own, (part = { root: own, area: 0, box: [px, py, px + 1, py + 1], first: Infinity }));
      part.area++;
      const b = part.box;
      if (px < b[0]) b[0] = px;
      if (px >= b[2]) b[2] = px + 1;
      if (py >= b[3]) b[3] = py + 1;
      part.first = Math.min(part.first, (py >> 1) * blocks + (px >> 1));
    }
  }
  const found = [...byRoot.values()].sort((a, b) => a.first - b.first), numbers = new Int32Array(parent.length);
  found.forEach((part, number) => { numbers[part.root] = number + 1; });
  for (let at = 0; at < labels.length; at++) labels[at] = numbers[labels[at]];
  return { box, wide, labels, found };
}

// Regions whose score lies above the threshold, the largest first; parts inside one contour of a lower level are one.
// Pixels outside of the region of interest (`inside` is 0) belong to none.
export function find(heat, threshold, minArea = 0, inDistribution = null, inside = null) {
  const { box, wide, labels, found } = parts(heat, threshold, inside);
  if (!found.length) return [];
  const least = minArea ?? Math.floor(heat.height * heat.width / 10000);
  const level = inDistribution?.joining(threshold) ?? null;
  let groups = found.map((_, number) => [number + 1]);
  if (level !== null && found.length > 1) groups = joined(parts(heat, level), { box, wide, labels });
  const area = (group) => group.reduce((sum, number) => sum + found[number - 1].area, 0);
  groups = groups.filter((group) => Math.max(...group.map((number) => found[number - 1].area)) >= least);
  groups.sort((a, b) => area(b) - area(a));
  return groups.map((group) => region(heat, group, found, { box, wide, labels }, inDistribution));
}

// Which parts lie in one component of the lower level, in the order of their first part.
function joined(low, { box, wide, labels }) {
  const component = new Map(), groups = new Map();
  for (let at = 0; at < labels.length; at++) {
    if (!labels[at] || component.has(labels[at])) continue;
    const x = at % wide + box[0] - low.box[0], y = Math.floor(at / wide) + box[1] - low.box[1];
    component.set(labels[at], low.labels[y * low.wide + x]);
  }
  for (const number of [...component.keys()].sort((a, b) => a - b)) {
    const own = component.get(number);
    if (!groups.has(own)) groups.set(own, []);
    groups.get(own).push(number);
  }
  return [...groups.values()];
}

function region(heat, group, found, { box, wide, labels }, inDistribution) {
  const boxes = group.map((number) => found[number - 1].box), wanted = new Set(group);
  const x0 = Math.min(...boxes.map((b) => b[0])), y0 = Math.min(...boxes.map((b) => b[1]));
  const x1 = Math.max(...boxes.map((b) => b[2])), y1 = Math.max(...boxes.map((b) => b[3]));
  const inside = new Uint8Array((x1 - x0) * (y1 - y0));
  let sum = 0, area = 0, peak = -Infinity;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      if (!wanted.has(labels[(y - box[1]) * wide + x - box[0]])) continue;
      const value = heat.data[y * heat.width + x];
      inside[(y - y0) * (x1 - x0) + x - x0] = 1;
      sum += value;
      area++;
      if (value > peak) peak = value;
    }
  }
  return { box: [x0, y0, x1, y1], area, mean: sum / area, peak,
    percentile: inDistribution ? inDistribution.percentile(peak) : null, inside, size: [heat.height, heat.width] };
}

// The pixels of a region as COCO's compressed run-length code.
export function encodeRle({ box: [x0, y0, x1, y1], inside, size: [height, width] }) {
  const runs = [];
  let value = 0, length = 0;
  const add = (next, count) => {
    if (!count) return;
    if (next === value) { length += count; return; }
    runs.push(length);
    value = next;
    length = count;
  };
  add(0, x0 * height);
  for (let x = x0; x < x1; x++) {
    add(0, y0);
    for (let y = y0; y < y1; y++) add(inside[(y - y0) * (x1 - x0) + x - x0], 1);
    add(0, height - y1);
  }
  add(0, (width - x1) * height);
  if (length) runs.push(length);
  return runs.map((run, at) => letters(at > 2 ? run - runs[at - 2] : run)).join("");
}

// The mask of a run-length code, a byte a pixel, row by row.
export function decodeRle(counts, [height, width]) {
  const runs = [], mask = new Uint8Array(height * width);
  for (let at = 0; at < counts.length;) {
    let number = 0, shift = 0, bits;
    do {
      bits = counts.charCodeAt(at++) - 48;
      number |= (bits & 31) << shift;
      shift += 5;
    } while (bits & 32);
    if (bits & 16 && shift < 32) number |= -1 << shift;
    runs.push(runs.length > 2 ? number + runs[runs.length - 2] : number);
  }
  let place = 0;
  runs.forEach((run, number) => {
    if (number % 2) for (let at = place; at < place + run; at++) mask[(at % height) * width + Math.floor(at / height)] = 1;
    place += run;
  });
  return mask;
}

function letters(number) {
  let text = "";
  for (;;) {
    const bits = number & 31;
    number >>= 5;
    const ends = number === (bits & 16 ? -1 : 0);
    text += String.fromCharCode(bits + (ends ? 48 : 80));
    if (ends) return text;
  }
}

// The lowest score of a map above which no region of the least area lies.
export function alarmLevel(heat, minArea = null) {
  const least = Math.max(1, minArea ?? Math.floor(heat.height * heat.width / 10000)), { data } = heat, fround = Math.fround;
  const large = (threshold) => parts(heat, threshold).found.some((part) => part.area >= least);
  let low = Infinity, high = -Infinity;
  for (const value of data) { if (value < low) low = value; if (value > high) high = value; }
  const lowest = low, between = () => data.filter((value) => value > low && value <= high);
  for (;;) {
    const middle = fround(low + 0.75 * (high - low));
    if (middle === low || middle === high) break;
    let count = 0;
    for (const value of data) if (value > low && value <= high) count++;
    if (count <= 1000) break;
    if (large(middle)) low = middle; else high = middle;
  }
  if (low === lowest && !large(low)) return lowest;
  const values = between().sort();
  let first = 0, last = values.length - 1;
  while (first < last) {
    const middle = (first + last) >> 1;
    if (large(values[middle])) first = middle + 1; else last = middle;
  }
  return values[first];
}
