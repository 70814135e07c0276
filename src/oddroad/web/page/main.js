// The page: which part is shown, light or dark, and what the parts share.

import { $, say } from "./dom.js";

const parts = ["look", "calibrate", "results", "interface"];
const backend = document.documentElement.dataset.backend === "local" ? await import("./local.js") : await import("./server.js");

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
  try { localStorage.setItem("theme", name); } catch { /* private windows keep nothing */ }
}

function kept() {
  try { return localStorage.getItem("theme"); } catch { return null; }
}

async function show() {
  const [wanted, ...rest] = location.hash.slice(1).split("/"), name = parts.includes(wanted) && $(wanted) ? wanted : "look";
  for (const each of parts) if ($(each)) $(each).hidden = each !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  const module = await import(`./${name}.js`);
  await module.show($(name), rest);
}

theme(kept() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
addEventListener("unhandledrejection", (event) => say(event.reason?.message ?? String(event.reason)));
if (backend.local) {
  for (const each of ["calibrate", "results", "interface"]) {
    $(each).remove();
    document.querySelector(`nav a[href="#${each}"]`).remove();
  }
}

try {
  const about = await backend.about();
  $("detectors").textContent = about.detectors.map((each) => `${each.card}, ${each.score}, ${each.precision} on ${each.engine}`).join(" · ");
  const look = await import("./look.js");
  look.start(backend, about);
  for (const each of ["calibrate", "results", "interface"]) {
    if ($(each)) import(`./${each}.js`).then((module) => module.start?.(backend, about));
  }
  addEventListener("hashchange", () => { say(""); show(); });
  await show();
} catch (error) {
  say(error.message);
}
