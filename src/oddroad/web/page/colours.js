// Scores as colours over a picture: oddroad/detection/drawing.py in JavaScript.

const BELOW = [[30, 60, 160], [40, 90, 240]], ABOVE = [[235, 70, 20], [255, 225, 70]];
const FAINTEST = 0.99, HALF = 128;
const OUTLINE = "rgb(255, 32, 32)";

// Which colour a score has: blue below the threshold, red to yellow above; alike in every frame.
export function scaleOf(threshold, inDistribution) {
  if (!inDistribution) return { low: threshold, threshold, high: threshold };
  const median = inDistribution.quantile(0.5), low = inDistribution.quantile(FAINTEST);
  const reach = Math.max(Math.abs(threshold - median), low - median, 1e-6);
  return { low: Math.min(low, threshold - 0.05 * reach), threshold, high: threshold + 0.5 * reach };
}

const table = Array.from({ length: 256 }, (_, level) => {
  const [first, last] = level < HALF ? BELOW : ABOVE, share = (level % HALF) / (HALF - 1);
  return first.map((value, at) => Math.round(value + share * (last[at] - value)));
});

function level(value, { low, threshold, high }) {
  if (value > threshold) return high > threshold ? HALF + (HALF - 1) * Math.min((value - threshold) / (high - threshold), 1) : HALF + 64;
  return low < threshold ? (HALF - 1) * Math.max(0, (value - low) / (threshold - low)) : 0;
}

// The colours of a map as pixels to lay over its picture; above the threshold only where a region is reported.
export function coloured(heat, regions, scale, opacity, whole) {
  const { data, width, height } = heat, out = new ImageData(width, height), pixels = out.data;
  const reported = whole ? null : new Uint8Array(data.length);
  if (reported) {
    for (const { box: [x0, y0, x1, y1], inside } of regions) {
      for (let y = y0, from = 0; y < y1; y++) {
        for (let x = x0; x < x1; x++, from++) if (inside[from]) reported[y * width + x] = 1;
      }
    }
  }
  for (let at = 0; at < data.length; at++) {
    const value = data[at];
    if (value <= scale.low && !whole) continue;
    let step = Math.round(level(value, scale));
    if (reported && !reported[at]) step = Math.min(step, HALF - 1);
    const [r, g, b] = table[step];
    pixels[4 * at] = r;
    pixels[4 * at + 1] = g;
    pixels[4 * at + 2] = b;
    pixels[4 * at + 3] = whole ? 255 : 255 * opacity * (step < HALF ? 0.9 * step / (HALF - 1) : 1);
  }
  return out;
}

// How rare two detectors call each pixel, one minus the other: orange where the first finds it rarer, blue the second.
export function difference(first, second, rarityOfFirst, rarityOfSecond) {
  const out = new ImageData(first.width, first.height), pixels = out.data;
  for (let at = 0; at < first.data.length; at++) {
    const apart = (rarityOfFirst(first.data[at]) - rarityOfSecond(second.data[at])) / 2;
    pixels.set(apart > 0 ? [255, 140, 20] : [60, 140, 255], 4 * at);
    pixels[4 * at + 3] = 255 * Math.min(Math.abs(apart), 1);
  }
  return out;
}

// Powers of ten of in-distribution pixels that score higher: 3 is as rare as one in a thousand; up to 4.
export function rarity(inDistribution) {
  return (score) => Math.min(-Math.log10(Math.max(1 - inDistribution.percentile(score), 1e-4)), 4);
}

export function percent(share) { return share < 0.9995 ? `${(100 * share).toFixed(1)}%` : ">99.9%"; }

// Boxes with their words.
export function boxes(context, regions, unit) {
  context.lineWidth = Math.max(1, 2 * unit);
  context.font = `${Math.max(11, Math.round(14 * unit))}px system-ui, sans-serif`;
  for (const region of regions) {
    const [x0, y0, x1, y1] = region.box, gap = 4 * unit;
    context.strokeStyle = OUTLINE;
    context.setLineDash(region.reported === false ? [6 * unit, 4 * unit] : []);
    context.strokeRect(x0 - gap, y0 - gap, x1 - x0 + 2 * gap, y1 - y0 + 2 * gap);
    const words = `${region.track ? `#${region.track} ` : ""}${region.percentile === null ? region.peak.toPrecision(3) : percent(region.percentile)}`;
    const wide = context.measureText(words).width + 8 * unit, high = 19 * unit;
    const x = Math.max(0, Math.min(x0 - gap, context.canvas.width - wide)), y = y0 - gap >= high ? y0 - gap : Math.min(y1 + gap + high, context.canvas.height);
    context.fillStyle = region.reported === false ? "rgb(90, 90, 95)" : "rgb(190, 20, 20)";
    context.fillRect(x, y - high, wide, high);
    context.fillStyle = "white";
    context.fillText(words, x + 4 * unit, y - 5 * unit);
  }
  context.setLineDash([]);
}
