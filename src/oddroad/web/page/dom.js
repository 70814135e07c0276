// Elements made and found; text is always text, never markup.

export const $ = (id) => document.getElementById(id);

export function make(tag, values = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

export function say(words) { $("status").textContent = words ?? ""; }

// A function that runs once its calls have stopped for some milliseconds.
export function settled(work, milliseconds) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
}

// Choices of which one is taken: radio buttons in a group.
export function choices(group, name, options, chosen, change) {
  group.replaceChildren(...options.map(([value, words]) => make("label", {},
    make("input", { type: "radio", name, value, checked: value === chosen, onchange: () => change(value) }), ` ${words}`)));
}

export function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6), minutes = Math.floor(tenths / 600), rest = tenths % 600;
  return `${minutes}:${String(Math.floor(rest / 10)).padStart(2, "0")}.${rest % 10}`;
}
