// Pictures and clips as frames of pixels, in the browser.

function pixels(source, width, height) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, width, height);
  return { rgba: context.getImageData(0, 0, width, height).data, canvas };
}

// The frames of chosen files, one by one: pixels, where they come from, and a picture to show.
export async function* frames({ about, files }) {
  if (about.kind === "video") { yield* moving(files[0]); return; }
  for (const file of files) {
    let image;
    try { image = await createImageBitmap(file); } catch { throw new Error(`'${file.name}' is no picture that this browser can read`); }
    const { rgba } = pixels(image, image.width, image.height);
    yield { name: file.name, index: null, time: null, rgba, height: image.height, width: image.width, picture: file, rate: null, total: files.length };
    image.close();
  }
}

const event = (target, name) => new Promise((done, failed) => {
  target.addEventListener(name, done, { once: true });
  target.addEventListener("error", () => failed(new Error("this browser cannot read the video; H.264, VP9 and AV1 work, HEVC and MPEG-4 do not")), { once: true });
});

// A player gives no list of frames: each is found by a seek to half a frame behind the beginning of the next one, and
// the time that the player then says is the frame's own. Frames of uneven spacing may be passed over.
async function* moving(file) {
  const video = document.createElement("video"), address = URL.createObjectURL(file);
  video.muted = true;
  video.preload = "auto";
  try {
    const loaded = event(video, "loadeddata");
    video.src = address;
    await loaded;
    const { videoWidth: width, videoHeight: height, duration } = video;
    const at = async (time) => {
      const shown = new Promise((done) => video.requestVideoFrameCallback((_, { mediaTime }) => done(mediaTime)));
      const sought = event(video, "seeked");
      video.currentTime = time;
      await sought;  // where the picture stays the same there is no callback
      return Promise.race([shown, new Promise((done) => setTimeout(() => done(null), 250))]);
    };
    let time = (await at(0)) ?? 0, step = 0;
    const start = pixels(video, width, height);
    for (let ahead = 1 / 240; !step && ahead < duration; ahead += 1 / 240) {
      const next = await at(time + ahead);
      if (next !== null && next > time + 1e-4) step = next - time;
    }
    step ||= duration || 1;
    const rate = 1 / step, total = Math.max(1, Math.round((duration - time) / step));
    yield { ...await frame(file, 0, 0, start, width, height), rate, total };
    const first = time;
    for (let index = 1; ; index++) {
      if (time + step >= duration - 1e-4) return;
      const found = await at(Math.min(time + 1.5 * step, duration));
      if (found === null || found <= time + 1e-4) return;
      time = found;
      yield { ...await frame(file, index, time - first, pixels(video, width, height), width, height), rate, total };
    }
  } finally { URL.revokeObjectURL(address); video.removeAttribute("src"); }
}

async function frame(file, index, time, { rgba, canvas }, width, height) {
  return { name: file.name, index, time, rgba, height, width, picture: await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 }) };
}
