// Phase correlation of two small pictures, as OpenCV's phaseCorrelate gives it.

const tables = new Map();

function table(size) {
  if (!tables.has(size)) {
    const cosines = new Float64Array(size), sines = new Float64Array(size);
    for (let k = 0; k < size; k++) {
      cosines[k] = Math.cos(2 * Math.PI * k / size);
      sines[k] = Math.sin(2 * Math.PI * k / size);
    }
    tables.set(size, [cosines, sines]);
  }
  return tables.get(size);
}

// Discrete Fourier transform of `size` values in steps; sizes whose factors are 2, 3 and 5.
function transform(re, im, start, step, size, sign) {
  if (size === 1) return [[re[start]], [im[start]]];
  const factor = [2, 3, 5].find((each) => size % each === 0) ?? size, part = size / factor;
  const inner = [];
  for (let f = 0; f < factor; f++) inner.push(transform(re, im, start + f * step, step * factor, part, sign));
  const outRe = new Float64Array(size), outIm = new Float64Array(size), [cosines, sines] = table(size);
  for (let k = 0; k < size; k++) {
    let sumRe = 0, sumIm = 0;
    for (let f = 0; f < factor; f++) {
      const turn = (f * k) % size, c = cosines[turn], s = sign * sines[turn], [a, b] = inner[f];
      sumRe += a[k % part] * c - b[k % part] * s;
      sumIm += a[k % part] * s + b[k % part] * c;
    }
    outRe[k] = sumRe;
    outIm[k] = sumIm;
  }
  return [outRe, outIm];
}

// In place, rows then columns.
function transform2(re, im, height, width, sign) {
  for (let y = 0; y < height; y++) {
    const [a, b] = transform(re, im, y * width, 1, width, sign);
    re.set(a, y * width);
    im.set(b, y * width);
  }
  for (let x = 0; x < width; x++) {
    const [a, b] = transform(re, im, x, width, height, sign);
    for (let y = 0; y < height; y++) { re[y * width + x] = a[y]; im[y * width + x] = b[y]; }
  }
}

function spectrum(grey, height, width) {
  const re = new Float64Array(height * width), im = new Float64Array(height * width);
  for (let y = 0; y < height; y++) {
    const wy = 0.5 * (1 - Math.cos(2 * Math.PI * y / (height - 1)));
    for (let x = 0; x < width; x++) {
      const wx = 0.5 * (1 - Math.cos(2 * Math.PI * x / (width - 1)));
      re[y * width + x] = grey[y * width + x] * Math.sqrt(wy * wx);
    }
  }
  transform2(re, im, height, width, -1);
  return [re, im];
}

// Shift [x, y] from one picture to the other and the response, 0 to 1.
export function phaseCorrelate(before, after, height, width) {
  const [aRe, aIm] = spectrum(before, height, width), [bRe, bIm] = spectrum(after, height, width);
  const re = new Float64Array(height * width), im = new Float64Array(height * width);
  for (let at = 0; at < re.length; at++) {
    const pRe = aRe[at] * bRe[at] + aIm[at] * bIm[at], pIm = aIm[at] * bRe[at] - aRe[at] * bIm[at];
    const size = Math.hypot(pRe, pIm), scale = size / (size * size + 1.1920929e-7);
    re[at] = pRe * scale;
    im[at] = pIm * scale;
  }
  transform2(re, im, height, width, 1);
  const at = (y, x) => re[((y + height / 2) % height) * width + (x + width / 2) % width];
  let peakX = 0, peakY = 0, peak = -Infinity;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (at(y, x) > peak) { peak = at(y, x); peakX = x; peakY = y; }
  }
  let sum = 0, sumX = 0, sumY = 0;
  for (let y = Math.max(peakY - 2, 0); y <= Math.min(peakY + 2, height - 1); y++) {
    for (let x = Math.max(peakX - 2, 0); x <= Math.min(peakX + 2, width - 1); x++) {
      const value = at(y, x);
      sum += value;
      sumX += x * value;
      sumY += y * value;
    }
  }
  return { x: width / 2 - sumX / sum, y: height / 2 - sumY / sum, response: sum / (height * width) };
}
