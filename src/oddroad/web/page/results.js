// Results on disk, read again as they are written.

import { lineChart, table } from "./charts.js";
import { make, say } from "./dom.js";
import { counted } from "./numbers.js";

const NAMES = { ap: "AP", fpr95: "FPR95", auroc: "AUROC", f1: "F1", siou: "sIoU", ppv: "PPV", f1_star: "F1*", object_recall: "objects found", false_alarms_per_frame: "false alarms a frame", frames_with_false_alarm: "frames with one" };
const state = { backend: null, open: null, changed: null, timer: 0, section: null };

export function start(backend) { state.backend = backend; }

export async function show(section, [key]) {
  if (!state.backend) return;
  state.section = section;
  clearTimeout(state.timer);
  if (!section.children.length) section.replaceChildren(make("h2", {}, "Results"), make("ul", { id: "resultList" }), make("div", { id: "resultShown" }));
  if (key) { state.open = key; state.changed = null; }
  await refresh();
}

async function refresh() {
  try {
    const { results } = await state.backend.json("/api/results"), list = document.getElementById("resultList");
    list.replaceChildren(...results.map((each) => make("li", {}, make("a", { href: `#results/${each.key}`, "aria-current": each.key === state.open ? "true" : "false" }, each.title), make("small", {}, ` ${each.kind}`))));
    if (!results.length) list.append(make("li", {}, "There are no results; start the page with --results FOLDER, the folder of 'oddroad evaluate --json', 'oddroad train', 'oddroad mine' or 'oddroad detect'."));
    const now = results.find((each) => each.key === state.open);
    if (now && now.changed !== state.changed) {
      const shown = await state.backend.json(`/api/results/${now.key}`);
      state.changed = now.changed;
      document.getElementById("resultShown").replaceChildren(make("h3", {}, shown.title), ...{ evaluate, train, mine, detect }[shown.kind](shown, now.key));
    }
  } catch (error) { say(error.message); }
  if (!state.section.hidden) state.timer = setTimeout(refresh, 3000);
}

const percent = (value) => (value === null || value === undefined ? "" : (100 * value).toFixed(2));

function figure(name, value, interval) {
  if (value === null || value === undefined) return "";
  const scaled = name === "false_alarms_per_frame" ? (each) => each.toFixed(2) : percent;
  return interval && interval[0] !== null ? `${scaled(value)} [${scaled(interval[0])}, ${scaled(interval[1])}]` : scaled(value);
}

// Objects found by their size: a row for each size, score and threshold.
function bySize(rows) {
  const cells = rows.flatMap((row) => [["best", row.sizes], ["of the card", row.deployed?.sizes ?? []]].flatMap(([which, sizes]) =>
    sizes.map(({ pixels: [low, high], objects, found }) => [row.dataset, row.model, row.score, which, high === null ? `${low} and more` : `${low} to ${high - 1}`, objects, found, percent(found / objects)])));
  return cells.length ? [table(["data set", "model", "score", "threshold", "pixels of the object", "objects", "found", "%"], cells, "objects found by size")] : [];
}

function evaluate({ rows }, key) {
  const columns = Object.keys(NAMES).filter((name) => rows.some((row) => name in row.figures));
  const cells = rows.flatMap((row) => [["best", row.threshold, row], ...(row.deployed ? [["of the card", row.deployed.threshold, row.deployed]] : [])]
    .map(([which, threshold, { figures, intervals }]) => [row.dataset, row.model, row.score, threshold === null || threshold === undefined ? which : `${which}, ${threshold.toFixed(3)}`,
      ...columns.map((name) => figure(name, figures[name], intervals[name]))]));
  const curves = rows.filter((row) => row.curve), name = (row) => `${row.dataset}, ${row.score}`;
  return [
    table(["data set", "model", "score", "threshold", ...columns.map((each) => NAMES[each])], cells, "percent, with 95 % intervals"),
    ...bySize(rows),
    ...rows.flatMap((row) => row.notes).filter((each, at, all) => all.indexOf(each) === at).map((each) => make("p", {}, each)),
    ...(curves.length ? [make("div", { class: "columns" },
      lineChart(curves.map((row) => ({ name: name(row), points: row.curve.recall.map((x, at) => [x, row.curve.precision[at]]) })), { title: "Precision and recall", x: "recall", y: "precision", lowY: 0 }),
      lineChart(curves.map((row) => ({ name: name(row), points: row.curve.fpr.map((x, at) => [Math.max(x, 1e-6), row.curve.recall[at]]) })), { title: "ROC", x: "false positive rate", y: "true positive rate", logX: true, lowY: 0 }))] : []),
    ...curves.flatMap((row) => [make("h3", {}, `Frames of ${name(row)}`), make("div", { class: "gallery" }, ...row.frames.flatMap(({ which, name: frame, ap, pictures }) => pictures.map((picture, at) => {
      const words = `${which} (${frame}), ${["image", "truth", "map"][at]}${at === 0 ? `, AP ${percent(ap)}` : ""}`;
      return make("figure", {}, make("img", { src: `/api/results/${key}/pictures/${picture.split("/").map(encodeURIComponent).join("/")}?frame=${encodeURIComponent(frame)}`, alt: words, loading: "lazy" }), make("figcaption", {}, words));
    })))]),
  ];
}

function train({ curves }) {
  const first = ["loss", "miou"].filter((each) => curves[each]), others = Object.keys(curves).filter((each) => !first.includes(each));
  return [make("div", { class: "columns" }, ...[...first, ...others].map((name) => lineChart([{ name, points: curves[name] }], { title: name, x: "step", y: name }))),
    table(["figure", "last step", "value"], Object.entries(curves).map(([name, points]) => [name, points.at(-1)[0], points.at(-1)[1]]), "last values")];
}

let shown = [];

// Pictures that came inside of the answer, as addresses that the page's policy allows.
function address(text) {
  const link = URL.createObjectURL(new Blob([Uint8Array.from(atob(text), (each) => each.charCodeAt(0))], { type: "image/webp" }));
  shown.push(link);
  return link;
}

function mine({ findings, views, unread, shown: rows }) {
  shown.forEach((each) => URL.revokeObjectURL(each));
  shown = [];
  const when = (row) => (row.time === null ? `frame ${row.frame}` : row.clock === "utc" ? new Date(row.time / 1e6).toISOString().replace("T", " ").slice(0, 19) : `${(row.time / 1e9).toFixed(1)} s`);
  return [make("p", {}, `${counted(findings, "finding")}, ${counted(views, "thing")}; shown, the rarest first: ${rows.length}${unread ? `; ${counted(unread, "part")} could NOT be read` : ""}.`),
    make("div", { class: "gallery" }, ...rows.map((row) => make("figure", {},
      row.thumbnail ? make("img", { src: address(row.thumbnail), alt: `${row.log}, ${when(row)}`, loading: "lazy" }) : null,
      make("figcaption", {}, `${row.log}, ${when(row)}: peak ${row.peak.toFixed(2)}, ${row.area} px, seen in ${row.hits}${row.p_value === null ? "" : `, p ${row.p_value.toPrecision(2)}`}`))))];
}

function detect({ line, notes, sources, runs }) {
  return [make("p", {}, line), ...notes.map((each) => make("p", {}, each)),
    table(["model", "score", "threshold"], runs.map((each) => [each.model, each.score, each.threshold])),
    table(["source", "judged", "with regions", "not judged"], Object.entries(sources).map(([name, each]) => [name, each.frames, each.with_regions, each.not_judged]))];
}
