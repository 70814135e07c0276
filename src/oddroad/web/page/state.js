// One view as the page knows it: its frames, the thresholds, pictures and maps near the frame that is shown.

import { InDistribution, decodeRle } from "./regions.js";
import { enlarge } from "./resize.js";

const NEAR = 40;  // pictures and maps that are kept in memory

export class Viewed {
  constructor(backend, about, key) {
    this.backend = backend;
    this.key = key;
    this.frames = [];
    this.about = null;
    this.images = new Map();
    this.maps = new Map();
    this.insides = new Map();
    this.detectors = about.detectors;
  }

  // Ask how far the view is; true while there may be more.
  async update() {
    for (;;) {
      const told = await this.backend.view(this.key, this.frames.length);
      this.about = told;
      this.frames.push(...told.frames);
      if (!told.frames.length || this.frames.length >= told.done) break;
    }
    return this.about.state === "working";
  }

  // The picture of a frame.
  image(number) { return this.near(this.images, number, () => this.backend.picture(this.key, number)); }

  // The scores of a frame by a detector, at the size of the frame; null where it was not judged.
  async heat(number, detector) {
    const frame = this.frames[number];
    if (!frame || frame.status !== "ok") return null;
    return this.near(this.maps, `${number}/${detector}`, async () => {
      const low = await this.backend.map(this.key, number, detector);
      return enlarge(low, frame.size[0], frame.size[1]);
    });
  }

  // The region of interest in a frame as bytes; null for the whole picture.
  async inside(number, detector, roi) {
    const card = this.detectors[detector].roi, road = roi === "" && card?.kind === "road";
    if (roi === "all" || (roi === "" && !card)) return null;
    const name = `${detector}/${roi}/${road ? number : this.frames[number].size.join("x")}`;
    return this.near(this.insides, name, async () => {
      const { size, counts } = await this.backend.inside(this.key, number, detector, roi);
      return counts === null ? null : decodeRle(counts, size);
    });
  }

  near(held, name, fetched) {
    if (!held.has(name)) {
      const coming = fetched();
      coming.catch(() => held.delete(name));
      held.set(name, coming);
      if (held.size > NEAR) held.delete(held.keys().next().value);
    }
    return held.get(name);
  }
}

// A detector's threshold and what in-distribution pixels score under it.
export class Dial {
  constructor(detector) {
    this.detector = detector;
    this.inDistribution = InDistribution.of(detector.calibration, detector.score);
    this.value = detector.threshold ?? 0;
    this.text = "";  // in the threshold language, where it was given so
    this.meaning = detector.meaning;
    this.low = this.inDistribution ? this.inDistribution.quantile(0.5) : this.value - 1;
    this.high = Math.max(this.inDistribution ? this.inDistribution.quantile(1) : this.value + 1, this.value);
    this.widen(this.value);
  }

  // The slider reaches everything that occurs.
  widen(value) {
    if (value > this.high) this.high = value + 0.05 * (value - this.low);
    if (value < this.low) this.low = value - 0.05 * (this.high - value);
  }

  get share() { return (this.value - this.low) / (this.high - this.low); }

  set share(share) {
    this.value = Math.fround(this.low + share * (this.high - this.low));
    this.text = "";
  }
}
