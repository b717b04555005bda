// A line over the last minute, or two of them.

import { drawn, made, say } from "./words.js";

const POINTS = 120;
const HEIGHT = 84;
const LEFT = 44;
const KINDS = ["first", "second"];

export class Chart {
  constructor(place, lines) {
    this.place = place;
    this.lines = lines;
    this.points = lines.map(() => new Array(POINTS).fill(null));
    this.figures = lines.map((line, k) => {
      const figure = made("b", { class: KINDS[k] }, "–");
      return { figure, whole: made("div", null, figure, " ", made("span", null, line.name)) };
    });
    const legend = made("div", { class: "chart-legend" }, ...this.figures.map((one) => one.whole));
    this.picture = drawn("svg", { class: "chart", height: HEIGHT, role: "img" });
    place.replaceChildren(legend, this.picture);
  }

  add(values) {
    values.forEach((value, k) => {
      this.points[k].push(value);
      this.points[k].shift();
      say(this.figures[k].figure, this.lines[k].write(value));
    });
    this.draw();
  }

  draw() {
    const width = this.place.clientWidth;
    if (!width) return;
    const known = this.points.flat().filter((value) => value != null);
    const top = rounded(Math.max(1, ...known));
    const x = (k) => LEFT + ((width - LEFT - 2) * k) / (POINTS - 1);
    const y = (value) => HEIGHT - 8 - ((HEIGHT - 18) * value) / top;
    const parts = [0, top / 2, top].flatMap((value) => [
      drawn("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
      drawn("text", { class: "faint", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value.toLocaleString("en")),
    ]);
    this.points.forEach((values, k) => {
      for (const run of runs(values)) {
        const line = run.map(([at, value]) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
        if (k === 0 && this.points.length === 1) {
          const [from, to] = [x(run[0][0]), x(run.at(-1)[0])];
          parts.push(drawn("path", { class: "area", d: `M${from} ${y(0)}L${line}L${to} ${y(0)}Z` }));
        }
        parts.push(drawn("path", { class: KINDS[k], d: `M${line}` }));
      }
    });
    const said = this.lines.map((line, k) => `${line.name}: ${line.write(this.points[k].at(-1))}`).join(", ");
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.picture.setAttribute("aria-label", `The last minute. ${said}`);
    this.picture.replaceChildren(...parts);
  }
}

// The next of 1, 2, 4 or 10 times a power of ten: its half is a whole number, or one half.
function rounded(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 10].map((k) => k * power).find((value) => value >= most);
}

// Parts of a line without a gap, each as pairs of place and value.
function runs(values) {
  const found = [];
  let run = [];
  values.forEach((value, at) => {
    if (value != null) {
      run.push([at, value]);
    } else if (run.length) {
      found.push(run);
      run = [];
    }
  });
  return run.length ? [...found, run] : found;
}
