// The detector in the browser, in a thread of its own, so that the page stays quick.

import * as ort from "../runtime/ort.wasm.min.mjs";
import { resizePicture } from "./resize.js";

let detectors = [], sessions = [];

async function load(given) {
  detectors = given;
  ort.env.wasm.wasmPaths = new URL("../runtime/", import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 4) : 1;
  const files = await Promise.all(detectors.map(async ({ file }) => {  // all at once: later there may be no network
    const answer = await fetch(new URL(`../${file}`, import.meta.url));
    if (!answer.ok) throw new Error(`the detector '${file}' is not there: ${answer.status}`);
    return answer.arrayBuffer();
  }));
  for (const file of files) sessions.push(await ort.InferenceSession.create(file, { executionProviders: ["wasm"], logSeverityLevel: 3 }));
  return { threads: ort.env.wasm.numThreads };
}

// The score's map of a picture (H, W, 4) by each detector, at its network's stride.
async function judge({ rgba, height, width }) {
  const maps = [];
  let milliseconds = 0;
  for (const [at, { resized, output }] of detectors.entries()) {
    const [newHeight, newWidth] = resized ?? [height, width];
    const pixels = resizePicture(new Uint8ClampedArray(rgba), height, width, newHeight, newWidth);
    const began = performance.now();
    const found = await sessions[at].run({ image: new ort.Tensor("uint8", pixels, [1, newHeight, newWidth, 3]) });
    const map = found[output], [h, w] = map.dims.slice(-2);
    maps.push({ data: map.data, height: h, width: w });
    milliseconds += performance.now() - began;
  }
  return { maps, milliseconds };
}

onmessage = async ({ data: { number, kind, given } }) => {
  try {
    const answer = await (kind === "load" ? load(given) : judge(given));
    postMessage({ number, answer });
  } catch (error) { postMessage({ number, error: error.message }); }
};
