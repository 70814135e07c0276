// The region of interest: drawn with the mouse, typed as corners, the card's, or the whole picture.

import { $, make, say } from "./dom.js";

export function interest(state, changed) {
  const place = $("interest"), words = make("input", { id: "corners", placeholder: "0,1 0.4,0.5 0.6,0.5 1,1", autocomplete: "off", spellcheck: false });
  if (state.backend.local) { $("interestPart").remove(); return; }
  const draw = make("button", { type: "button" }, "Draw it");
  const set = (roi) => {
    state.roi = roi;
    state.corners = null;
    draw.textContent = "Draw it";
    words.value = roi === "all" ? "" : roi;
    say("");
    changed();
  };
  draw.onclick = () => {
    if (!state.corners) {
      state.corners = [];
      draw.textContent = "Close it";
      say("Click the corners on the picture, then close it.");
      return;
    }
    if (state.corners.length < 3) { set(""); say("a region takes three corners or more"); return; }
    set(state.corners.map((each) => each.join(",")).join(" "));
  };
  words.onchange = () => set(words.value.trim());
  place.replaceChildren(draw, make("button", { type: "button", onclick: () => set("all") }, "Whole picture"), make("button", { type: "button", onclick: () => set("") }, "The card's"),
    make("label", { htmlFor: "corners" }, "Corners as shares of width and height"), words,
    make("p", { class: "hint" }, "The page Calibrate saves it into the card."));
}
