// How figures are written, and how elements are made. Amounts are whole cents, and stay so.

export const whole = (n) => (n == null ? "–" : Math.round(n).toLocaleString("en"));

export function shillings(cents) {
  if (cents == null) return "–";
  const size = Math.abs(cents);
  const part = String(size % 100).padStart(2, "0");
  return `${cents < 0 ? "−" : ""}Sh${Math.floor(size / 100).toLocaleString("en")}.${part}`;
}

export const milliseconds = (n) =>
  n == null || n === 0 ? "–" : n < 10 ? n.toFixed(1) : whole(n);

export const blocks = (n) => (n === 1 ? "1 block" : `${whole(n)} blocks`);

export const megabytes = (n) => (n == null ? "–" : `${(n / 1e6).toFixed(1)} MB`);

export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 120) return `${whole(seconds)} s`;
  return seconds < 7200 ? `${whole(seconds / 60)} min` : `${whole(seconds / 3600)} h`;
}

export const at = (id) => document.getElementById(id);

// made("td", {class: "late"}, "text", anotherElement)
export const made = (tag, attributes, ...inside) =>
  filled(document.createElement(tag), attributes, inside);

export const drawn = (tag, attributes, ...inside) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, inside);

function filled(element, attributes, inside) {
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...inside.map((one) => (one instanceof Node ? one : String(one ?? ""))));
  return element;
}

// Texts and classes are touched only where they change, so that nothing flickers and focus stays.
export function say(element, text, kind) {
  if (element.textContent !== text) element.textContent = text;
  if (kind !== undefined && element.getAttribute("class") !== kind) element.setAttribute("class", kind);
}

// made("td"), for figures that a narrow screen has no room for.
export const onDesk = (text) => made("td", { class: "on-desk" }, text);

// Rows of a table that stands stacked on a narrow screen: each cell says what its column is.
export function stack(body, rows) {
  const labels = [...body.parentElement.querySelectorAll("th")].map((one) => one.textContent);
  for (const one of rows) [...one.children].forEach((cell, k) => (cell.dataset.label = labels[k]));
  body.replaceChildren(...rows);
}

export const row = (...cells) =>
  made("tr", null, ...cells.map((cell) => (cell instanceof Element && cell.tagName === "TD" ? cell : made("td", null, cell))));

export const fact = (name, value) => made("div", null, made("dt", null, name), made("dd", null, value));

// Rows that are kept by name: those of before are changed, not made anew.
export function keepRows(body, names, make) {
  const kept = new Map([...body.children].map((one) => [one.dataset.name, one]));
  for (const name of names) {
    if (!kept.has(name)) {
      const fresh = make(name);
      fresh.dataset.name = name;
      kept.set(name, fresh);
      body.append(fresh);
    }
  }
  const wanted = new Set(names);
  for (const [name, one] of kept) if (!wanted.has(name)) one.remove();
  return kept;
}
