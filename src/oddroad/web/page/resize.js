// Maps and pictures at another size, to the bit as OpenCV's linear interpolation gives them.

import { round } from "./numbers.js";

// A map (h, w) at the size (H, W), linearly, as OpenCV does it.
export function enlarge(low, height, width) {
  if (low.height === height && low.width === width) return low;
  const { data } = low, out = new Float32Array(height * width), fround = Math.fround;
  const [left, right, shareX] = steps(low.width, width), [top, bottom, shareY] = steps(low.height, height);
  const rows = new Map();
  const row = (y) => {
    if (!rows.has(y)) {
      if (rows.size > 2) rows.delete(rows.keys().next().value);
      const mixed = new Float32Array(width), start = y * low.width;
      for (let x = 0; x < width; x++) {
        mixed[x] = fround(data[start + left[x]] * fround(1 - shareX[x])) + fround(data[start + right[x]] * shareX[x]);
      }
      rows.set(y, mixed);
    }
    return rows.get(y);
  };
  for (let y = 0, at = 0; y < height; y++) {
    const above = row(top[y]), below = row(bottom[y]), share = shareY[y], rest = fround(1 - share);
    for (let x = 0; x < width; x++, at++) out[at] = fround(above[x] * rest) + fround(below[x] * share);
  }
  return { data: out, height, width };
}

// For each new place the two old ones around it, and the share of the second.
function steps(before, after) {
  const first = new Int32Array(after), second = new Int32Array(after), share = new Float32Array(after);
  for (let each = 0; each < after; each++) {
    const place = (each + 0.5) * (before / after) - 0.5;
    let at = Math.floor(place), part = Math.fround(place - at);
    if (at < 0) { at = 0; part = 0; }
    if (at >= before - 1) { at = before - 1; part = 0; }
    first[each] = at;
    second[each] = Math.min(at + 1, before - 1);
    share[each] = part;
  }
  return [first, second, share];
}

// A picture (H, W, 4) of bytes at the size (h, w), as (h, w, 3): in whole numbers, as OpenCV does it.
export function resizePicture(rgba, height, width, newHeight, newWidth) {
  const out = new Uint8Array(newHeight * newWidth * 3);
  if (height === newHeight && width === newWidth) {
    for (let at = 0; at < height * width; at++) for (let c = 0; c < 3; c++) out[3 * at + c] = rgba[4 * at + c];
    return out;
  }
  const [left, right, shareX] = steps(width, newWidth), whole = (share) => round(share * 2048);
  const rows = new Map();
  const row = (y) => {
    if (!rows.has(y)) {
      if (rows.size > 2) rows.delete(rows.keys().next().value);
      const mixed = new Int32Array(newWidth * 3);
      for (let x = 0; x < newWidth; x++) {
        const a = 4 * (y * width + left[x]), b = 4 * (y * width + right[x]);
        const second = whole(shareX[x]), first = whole(Math.fround(1 - shareX[x]));
        for (let c = 0; c < 3; c++) mixed[3 * x + c] = rgba[a + c] * first + rgba[b + c] * second;
      }
      rows.set(y, mixed);
    }
    return rows.get(y);
  };
  const clip = (y) => Math.max(0, Math.min(height - 1, y));
  for (let y = 0, at = 0; y < newHeight; y++) {
    const place = (y + 0.5) * (height / newHeight) - 0.5, top = Math.floor(place), share = Math.fround(place - top);
    const above = row(clip(top)), below = row(clip(top + 1)), second = whole(share), first = whole(Math.fround(1 - share));
    for (let x = 0; x < above.length; x++, at++) {
      out[at] = ((first * (above[x] >> 4) >> 16) + (second * (below[x] >> 4) >> 16) + 2) >> 2;
    }
  }
  return out;
}
