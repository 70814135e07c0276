// The detector in the browser, in a thread of its own, so that the page stays quick.

import * as ort from "../runtime/ort.wasm.min.mjs";
import { resizePicture } from "./resize.js";

let session = null, about = null;

async function load(given) {
  about = given;
  ort.env.wasm.wasmPaths = new URL("../runtime/", import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 4) : 1;
  const answer = await fetch(new URL("../detector.onnx", import.meta.url));
  if (!answer.ok) throw new Error(`the detector is not there: ${answer.status}`);
  session = await ort.InferenceSession.create(await answer.arrayBuffer(), { executionProviders: ["wasm"], logSeverityLevel: 3 });
  return { threads: ort.env.wasm.numThreads };
}

// The score's map of a picture (H, W, 4) at the network's stride.
async function judge({ rgba, height, width }) {
  const [newHeight, newWidth] = about.resized ?? [height, width];
  const pixels = resizePicture(new Uint8ClampedArray(rgba), height, width, newHeight, newWidth);
  const began = performance.now();
  const found = await session.run({ image: new ort.Tensor("uint8", pixels, [1, newHeight, newWidth, 3]) });
  const map = found[about.output], [h, w] = map.dims.slice(-2);
  return { data: map.data, height: h, width: w, milliseconds: performance.now() - began };
}

onmessage = async ({ data: { number, kind, given } }) => {
  try {
    const answer = await (kind === "load" ? load(given) : judge(given));
    postMessage({ number, answer });
  } catch (error) { postMessage({ number, error: error.message }); }
};
