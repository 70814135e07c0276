// The frames of a view as a line: how far each rises above the threshold, what is reported, where alarms begin.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function drawTimeline(canvas, { frames, total, detector, dial, reported, alarms, current }) {
  const ratio = devicePixelRatio || 1, wide = canvas.clientWidth || 300, high = 84;
  canvas.width = wide * ratio;
  canvas.height = high * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.clearRect(0, 0, wide, high);
  const count = Math.max(total ?? frames.length, frames.length, 1), step = wide / count, base = 58;
  const place = (level) => Math.max(0, Math.min(1, (level - dial.low) / (dial.high - dial.low))) * (base - 4);
  frames.forEach((frame, number) => {
    const x = number * step, level = frame.levels[detector];
    if (frame.status !== "ok") {
      context.fillStyle = css("--line");
      for (let y = 0; y < base; y += 6) context.fillRect(x, y, Math.max(step, 1), 3);
      return;
    }
    if (level === null) return;
    context.fillStyle = level > dial.value ? css("--mark") : css("--line");
    const height = Math.max(place(level), 1);
    context.fillRect(x, base - height, Math.max(step - (step > 4 ? 1 : 0), 1), height);
  });
  context.strokeStyle = css("--ink");
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(0, base - place(dial.value));
  context.lineTo(wide, base - place(dial.value));
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = css("--mark");
  reported?.forEach((found, number) => { if (found) context.fillRect(number * step, base + 5, Math.max(step, 1), 8); });
  for (const number of alarms ?? []) {
    context.beginPath();
    context.moveTo((number + 0.5) * step - 5, high - 1);
    context.lineTo((number + 0.5) * step + 5, high - 1);
    context.lineTo((number + 0.5) * step, base + 15);
    context.fill();
  }
  context.fillStyle = css("--accent");
  context.fillRect((current + 0.5) * step - 1, 0, 2, high);
}

// The number of the frame at a place of the line.
export function frameAt(canvas, event, count) {
  const box = canvas.getBoundingClientRect();
  return Math.max(0, Math.min(count - 1, Math.floor((event.clientX - box.left) / box.width * count)));
}
