// What the page gets from the server. local.js offers the same without one.

export const local = false;

async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const text = await answer.text();
    let words = text;
    try { words = JSON.parse(text).error ?? text; } catch { /* not ours */ }
    throw new Error(words || `the server answered ${answer.status}`);
  }
  return answer;
}

const json = async (path, options) => (await ask(path, options)).json();
const post = (path, values) => json(path, { method: "POST", body: JSON.stringify(values) });
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== ""));

export const about = () => json("/api/about");
export const sources = () => json("/api/sources");
export const open = (source, every = 1) => post("/api/views", { source, every });
export const view = (key, since) => json(`/api/views/${key}?since=${since}`);
export const stop = (key) => post(`/api/views/${key}/stop`, {});
export const levels = (key, values) => json(`/api/views/${key}/levels?${query(values)}`);
export const findings = (key, values) => json(`/api/views/${key}/findings?${query(values)}`);
export const exportLink = (key, what, values) => `/api/views/${key}/export/${what}?${query(values)}`;
export { json, post };

// The region of interest in a frame: { size, counts }; counts are null for the whole picture.
export const inside = (key, number, detector, roi) => json(`/api/views/${key}/frames/${number}/inside?${query({ detector, roi })}`);

// Sends files with their progress; pictures that come together are one source.
export async function upload(files, tell) {
  const batch = files.length > 1 ? crypto.randomUUID() : "";
  const folder = files[0].webkitRelativePath?.split("/")[0] ?? "";
  let entry = null, sent = 0, left = [];
  const chosen = files.length > 1 ? files.filter((file) => /^image\//.test(file.type)) : files;
  if (!chosen.length) throw new Error("there is no picture among these files; send one video or log at a time");
  for (const [number, file] of chosen.entries()) {
    const last = number === chosen.length - 1;
    const values = query({ name: file.name, batch, last: batch && last ? 1 : null, title: last ? folder : "" });
    tell(`sending ${file.name}, ${number + 1} of ${chosen.length}`, sent / chosen.length);
    entry = await json(`/api/sources?${values}`, { method: "POST", body: file });
    sent++;
  }
  left = files.length - chosen.length;
  return { entry, left };
}

export async function picture(key, number) {
  const image = new Image();
  image.src = `/api/views/${key}/frames/${number}.jpg`;
  await image.decode();
  return image;
}

export async function map(key, number, detector) {
  const answer = await ask(`/api/views/${key}/frames/${number}/map?detector=${detector}`);
  const [height, width] = answer.headers.get("x-map-size").split("x").map(Number);
  return { data: new Float32Array(await answer.arrayBuffer()), height, width };
}
