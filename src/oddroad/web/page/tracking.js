// Regions linked over frames: oddroad/detection/tracking.py in JavaScript. Both are held to the same test vectors.

import { phaseCorrelate } from "./fourier.js";
import { round } from "./numbers.js";

export const MAX_AGE = 2;
const SLACK = 0.01, LARGEST_RATIO = 3, ROWS = 96, COLUMNS = 160, MIN_RESPONSE = 0.15;

const place = ([x0, y0, x1, y1]) => [(x0 + x1) / 2, (y0 + y1) / 2, Math.hypot(x1 - x0, y1 - y0)];

// Links the regions of successive frames of one video.
export class Tracker {
  constructor(maxAge = MAX_AGE) {
    this.tracks = [];
    this.count = 0;
    this.maxAge = maxAge;
  }

  // The track of each region of the next frame; shift is that of the picture since the last frame.
  link(regions, [shiftX, shiftY], width) {
    for (const track of this.tracks) track.timeSinceUpdate++;
    const found = new Map();
    for (const { number, track } of this.pairs(regions, [shiftX, shiftY], width).sort((a, b) => a.off - b.off)) {
      if (!found.has(number) && track.timeSinceUpdate > 0) {
        follow(track, regions[number], [shiftX, shiftY]);
        found.set(number, track);
      }
    }
    for (const track of this.tracks) {
      if (!track.timeSinceUpdate) continue;
      track.box = track.box.map((value, at) => round(value + (at % 2 ? shiftY : shiftX)));
    }
    this.tracks = this.tracks.filter((track) => track.timeSinceUpdate <= this.maxAge);
    regions.forEach((region, number) => {
      if (found.has(number)) return;
      const track = { id: ++this.count, box: region.box, hits: 1, mean: region.mean, timeSinceUpdate: 0,
        velocity: [0, 0] };
      found.set(number, track);
      this.tracks.push(track);
    });
    return regions.map((_, number) => found.get(number));
  }

  pairs(regions, [shiftX, shiftY], width) {
    const found = [];
    for (const track of this.tracks) {
      const [x, y, diagonal] = place(track.box), steps = track.timeSinceUpdate;
      const toX = x + shiftX + track.velocity[0] * steps, toY = y + shiftY + track.velocity[1] * steps;
      regions.forEach((region, number) => {
        const [atX, atY, size] = place(region.box);
        const reach = SLACK * width * steps + 0.35 * (diagonal + size);
        const off = Math.hypot(atX - toX, atY - toY) / reach;
        if (off <= 1 && Math.max(size / diagonal, diagonal / size) <= LARGEST_RATIO) found.push({ off, number, track });
      });
    }
    return found;
  }
}

function follow(track, region, [shiftX, shiftY]) {
  const [x, y] = place(track.box), [atX, atY] = place(region.box), steps = track.timeSinceUpdate;
  const weight = track.hits === 1 ? 1 : 0.5, [vx, vy] = track.velocity;
  track.velocity = [vx + weight * ((atX - x - shiftX) / steps - vx), vy + weight * ((atY - y - shiftY) / steps - vy)];
  track.mean += (region.mean - track.mean) / (track.hits + 1);
  track.box = region.box;
  track.timeSinceUpdate = 0;
  track.hits++;
}

// How far the picture of one video moves from frame to frame.
export class CameraShift {
  constructor() { this.before = null; }

  // Shift [x, y] since the last frame, in pixels; [0, 0] of the first and where it is not clear. rgba is (H, W, 4).
  next(rgba, height, width) {
    const before = this.before, after = shrink(rgba, height, width);
    this.before = after;
    if (!before) return [0, 0];
    const { x, y, response } = phaseCorrelate(before, after, ROWS, COLUMNS);
    return response >= MIN_RESPONSE ? [x * width / COLUMNS, y * height / ROWS] : [0, 0];
  }
}

// The picture in grey at 96 x 160, each pixel the mean of the area it covers.
export function shrink(rgba, height, width) {
  const out = new Float32Array(ROWS * COLUMNS), [ys, xs] = [cover(height, ROWS), cover(width, COLUMNS)];
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      let r = 0, g = 0, b = 0;
      for (const [y, wy] of ys[row]) {
        for (const [x, wx] of xs[column]) {
          const at = 4 * (y * width + x), weight = wy * wx;
          r += weight * rgba[at];
          g += weight * rgba[at + 1];
          b += weight * rgba[at + 2];
        }
      }
      out[row * COLUMNS + column] = (round(r) * 9798 + round(g) * 19235 + round(b) * 3735 + 16384) >> 15;
    }
  }
  return out;
}

// For each new place the old ones that it covers, with weights that add up to 1.
function cover(before, after) {
  const scale = before / after;
  return Array.from({ length: after }, (_, each) => {
    if (scale < 1) {  // enlarged: as OpenCV does it, linearly between the two it touches
      const at = Math.floor(each * scale), part = Math.max(0, each + 1 - (at + 1) / scale);
      const share = part - Math.floor(part);
      return at >= before - 1 || share <= 0 ? [[Math.min(at, before - 1), 1]] : [[at, 1 - share], [at + 1, share]];
    }
    const from = each * scale, to = Math.min(from + scale, before), found = [];
    for (let at = Math.floor(from); at < Math.ceil(to - 1e-9); at++) {
      found.push([at, (Math.min(at + 1, to) - Math.max(at, from)) / (to - from)]);
    }
    return found;
  });
}
