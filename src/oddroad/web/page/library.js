// What can be looked at: the list, and files that are dropped or chosen.

import { $, make, say } from "./dom.js";
import { counted } from "./numbers.js";

const KINDS = { images: "pictures", video: "video", log: "log", camera: "camera", stream: "stream" };

export async function fillLibrary(state, open) {
  const { sources, notes } = await state.backend.sources();
  $("sources").replaceChildren(...sources.map((each) => make("li", {}, make("button", { type: "button",
    onclick: (event) => { mark(event.currentTarget); open(each).catch((error) => say(error.message)); } }, each.title,
  make("small", {}, ` ${each.count ? `${each.count} ` : ""}${KINDS[each.kind] ?? each.kind}${each.uploaded ? ", sent" : ""}`)))));
  if (!sources.length) $("sources").append(make("li", {}, make("small", {}, "Nothing was named at the start; drop files here.")));
  if (notes?.length) $("sources").append(make("li", {}, make("small", {}, notes.join("; "))));
}

function mark(button) {
  for (const each of $("sources").querySelectorAll("button")) each.setAttribute("aria-pressed", each === button);
}

export function listen(state, open) {
  const take = async (files) => {
    if (!files.length) return;
    say("");
    try {
      const { entry, left } = await state.backend.upload(files, (words, share) => {
        $("far").textContent = words;
        $("bar").max = 1;
        $("bar").value = share;
      });
      await fillLibrary(state, open);
      if (left) say(`left out: ${counted(left, "file")}, no pictures`);
      await open(entry);
    } catch (error) { say(error.message); }
  };
  for (const name of ["files", "folder"]) $(name).onchange = () => { take([...$(name).files]); $(name).value = ""; };
  const drop = $("drop");
  for (const name of ["dragenter", "dragover"]) addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  addEventListener("drop", async (event) => take(await dropped(event.dataTransfer)));
}

// The files of what was dropped, folders opened.
async function dropped(data) {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...data.files];
  const files = [];
  const walk = async (entry) => {
    if (entry.isFile) { files.push(await new Promise((done, failed) => entry.file(done, failed))); return; }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const each of some.sort((a, b) => a.name.localeCompare(b.name))) await walk(each);
    }
  };
  for (const each of entries) await walk(each);
  return files;
}
