// The interface for programs, from its own description.

import { make, say } from "./dom.js";

let backend = null;

export function start(given) { backend = given; }

export async function show(section) {
  if (section.children.length || !backend) return;
  try {
    const { paths } = await backend.json("/openapi.json"), here = location.origin;
    section.replaceChildren(make("h2", {}, "Interface for programs"),
      make("p", {}, "Everything that this page does can be done by programs. The description for tools is ",
        make("a", { href: "/openapi.json" }, "openapi.json"), "; counts for Prometheus are at ", make("a", { href: "/metrics" }, "metrics"), "."),
      make("pre", { tabIndex: 0, role: "region", "aria-label": "Examples" }, `curl --data-binary @photo.jpg '${here}/detect?threshold=no-alarms'\n`
        + `curl --data-binary @drive.mp4 '${here}/detect?min_hits=3&name=drive.mp4'\ncurl ${here}/v2\n`),
      ...Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, each]) => described(path, method, each))));
  } catch (error) { say(error.message); }
}

function described(path, method, { summary, description, parameters, responses }) {
  const rows = parameters.map((each) => make("tr", {}, make("th", { scope: "row" }, each.name), make("td", {}, each.in), make("td", {}, each.description ?? "")));
  const kind = Object.keys(responses[200].content)[0];
  return make("details", {}, make("summary", {}, make("code", {}, `${method.toUpperCase()} ${path}`), ` ${summary}`),
    make("p", {}, description, ` Answer: ${kind}.`),
    rows.length ? make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...["Name", "Where", "What"].map((each) => make("th", { scope: "col" }, each)))), make("tbody", {}, ...rows))) : null);
}
