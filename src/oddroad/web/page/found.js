// Regions and tracks of all frames at the threshold that is set: asked for in pieces, and gone on with as frames come.

class Found {
  constructor(frames, viewed) { this.frames = frames; this.viewed = viewed; }

  // Numbers of the frames in which an alarm begins; of pictures each with a region.
  alarms(minHits) {
    return this.frames.flatMap((found, number) =>
      (found?.some((region) => region.track === null || region.hits === minHits) ? [number] : []));
  }

  // The tracks that are reported, the longest seen first.
  tracks(minHits) {
    const tracks = new Map();
    this.frames.forEach((found, number) => {
      for (const region of found ?? []) {
        if (region.track === null) continue;
        const { source } = this.viewed.frames[number], name = `${source}\n${region.track}`;
        if (!tracks.has(name)) tracks.set(name, { id: region.track, source, first: number, last: number, hits: 0, peak: -Infinity });
        const track = tracks.get(name);
        track.last = number;
        track.hits = region.hits;
        track.peak = Math.max(track.peak, region.peak);
      }
    });
    return [...tracks.values()].filter((each) => each.hits >= minHits).sort((a, b) => b.hits - a.hits);
  }
}

// What is found at a dial's threshold; null once it is no longer wanted.
export async function followed(state, dial, wanted) {
  const { backend, viewed, active, minArea, roi } = state, end = viewed.frames.length;
  const values = { detector: active, threshold: dial.text || dial.value, min_area: minArea, roi };
  if (minArea !== null || roi !== "") {
    state.levels ??= {};
    const name = `${active}/${minArea}/${roi}`, kept = state.levelsKept?.name === name ? state.levelsKept.levels : [];
    while (kept.length < end && wanted()) {
      const told = await backend.levels(viewed.key, { detector: active, min_area: minArea, roi, since: kept.length, count: 100 });
      if (!told.levels.length) break;
      kept.push(...told.levels);
    }
    state.levelsKept = { name, levels: kept };
    state.levels[active] = kept;
  } else state.levels = null;
  const frames = [];
  while (frames.length < end && wanted()) {
    const told = await backend.findings(viewed.key, { ...values, since: frames.length });
    if (!told.frames.length) break;
    frames.push(...told.frames);
    dial.meaning = told.meaning;
  }
  return wanted() && dial === state.dials[active] && active === state.active ? new Found(frames, viewed) : null;
}
