// Everything below draws from the JSON in the page; nothing is fetched. Texts go in by textContent only.
const DATA = JSON.parse(document.getElementById("data").textContent);
const unpack = (column) => Array.isArray(column) ? column : column.at.map((i) => column.texts[i]);
const VALUES = Object.entries(DATA.values).map(([name, column]) => [name, unpack(column)]);
const FACTS = Object.entries(DATA.facts).map(([name, column]) => [name, unpack(column)]);
const SHOWN = Object.fromEntries(Object.entries(DATA.shown).map(([id, pair]) => [id, pair.map(unpack)]));
const POINTS = Array.from({ length: DATA.count }, (_, i) => Object.fromEntries([["number", i], ...VALUES.map(([name, items]) => [name, items[i]])]));
for (const p of POINTS) p.search = `${p.title} ${p.group} ${p.cell}`.toLowerCase();
const SVG = "http://www.w3.org/2000/svg";
const DENSE = "dense";
const state = { group: "", target: "", batch: "", limits: { lost: Infinity, score: null, latency: Infinity, bytes: Infinity }, lost: new Map(), scores: new Map(), text: "", sort: "latency", down: false, hidden: new Set(), tip: null };

function make(name, attributes, ...children) {
  const svg = ["svg", "g", "path", "line", "text", "polyline"].includes(name);
  const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const byId = (id) => document.getElementById(id);
const unique = (values) => [...new Set(values)];
const present = (v) => v !== null && v !== undefined && isFinite(v);
// What is scored of a point; its value as it is read, and so that more is better.
const measureOf = (p) => DATA.measures[p.measure];
const scoreText = (p) => SHOWN.score[0][p.number] + (measureOf(p).percent ? " %" : "");
const goodness = (p) => measureOf(p).lower ? -p.score : p.score;
const inPoints = (x) => `${+(100 * x).toFixed(2)} points`;
const cut = (text, letters) => text.length > letters ? text.slice(0, letters - 1) + "…" : text;
function short(x) {
  if (x === null || x === undefined) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e9) return +(x / 1e9).toPrecision(3) + " G";
  if (size >= 1e6) return +(x / 1e6).toPrecision(3) + " M";
  if (size >= 1e4) return +(x / 1e3).toPrecision(3) + " k";
  return String(+x.toPrecision(3));
}
// Array's own min and max take their numbers as arguments, of which a browser allows some ten thousand.
const minOf = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const maxOf = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

// A backend has a colour and a shape, a file and device a filling, a method a kind of line: in every chart.
const BACKENDS = unique(POINTS.map((p) => p.backend));
const TARGETS = unique(POINTS.map((p) => p.target));
const METHODS = unique(POINTS.map((p) => p.method)).filter((name) => name !== DENSE);
const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "wedge", "star", "hexagon", "left", "right", "bar"];
const FILLINGS = ["full", "hollow", "dotted", "cored", "slashed", "crossed"];
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const colour = (p) => `var(--c${BACKENDS.indexOf(p.backend) % 11})`;
const dash = (method) => DASHES[Math.max(METHODS.indexOf(method), 0) % DASHES.length];
const polygon = (count, radius, x, y) => "M" + Array.from({ length: count }, (_, i) => [x + radius(i) * Math.sin(2 * Math.PI * i / count), y - radius(i) * Math.cos(2 * Math.PI * i / count)].join(",")).join("L") + "z";
function outline(kind, x, y, r) {
  return {
    circle: `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
    square: `M${x - r * 0.9},${y - r * 0.9}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
    triangle: `M${x},${y - r * 1.2}l${r * 1.15},${r * 2.1}h${-2.3 * r}z`,
    diamond: `M${x},${y - r * 1.3}l${r * 1.2},${r * 1.3}l${-r * 1.2},${r * 1.3}l${-r * 1.2},${-r * 1.3}z`,
    cross: `M${x - r * 1.1},${y - r * 0.4}h${r * 0.7}v${-r * 0.7}h${r * 0.8}v${r * 0.7}h${r * 0.7}v${r * 0.8}h${-r * 0.7}v${r * 0.7}h${-r * 0.8}v${-r * 0.7}h${-r * 0.7}z`,
    star: polygon(10, (i) => (i % 2 ? 0.55 : 1.4) * r, x, y),
    hexagon: polygon(6, () => 1.15 * r, x, y),
    left: `M${x - r * 1.2},${y}l${r * 2.1},${-r * 1.15}v${2.3 * r}z`,
    right: `M${x + r * 1.2},${y}l${-r * 2.1},${-r * 1.15}v${2.3 * r}z`,
    bar: `M${x - r * 0.5},${y - r * 1.3}h${r}v${2.6 * r}h${-r}z`,
    wedge: `M${x},${y + r * 1.2}l${r * 1.15},${-r * 2.1}h${-2.3 * r}z`,
  }[kind];
}
function mark(p, x, y, r, ring) {
  const kind = SHAPES[Math.max(BACKENDS.indexOf(p.backend), 0) % SHAPES.length];
  const number = Math.max(TARGETS.indexOf(p.target), 0) % FILLINGS.length, filling = FILLINGS[number];
  const fill = p.backend === undefined ? "var(--faint)" : colour(p);
  if (ring) {
    // A circle around the point, and on it small marks of the backend's shape, one for the first file, two for the second.
    const small = Array.from({ length: number + 1 }, (_, i) => 2.4 * BACKENDS.indexOf(p.backend) + Math.PI / 4 + i * 6 / r)
      .map((angle) => outline(kind, x + r * Math.sin(angle), y - r * Math.cos(angle), 2));
    return make("path", { d: outline("circle", x, y, r) + small.join(""), style: `fill:none;pointer-events:stroke;stroke:${fill};stroke-width:1.6` });
  }
  const inner = {
    dotted: outline("circle", x, y, r * 0.4), cored: outline("circle", x, y, r * 0.35),
    slashed: `M${x - r},${y + r}L${x + r},${y - r}`, crossed: `M${x - r},${y + r}L${x + r},${y - r}M${x - r},${y - r}L${x + r},${y + r}`,
  }[filling] || "";
  return make("path", {
    d: outline(kind, x, y, r) + inner, "fill-rule": "evenodd",
    style: ["full", "dotted"].includes(filling) ? `fill:${fill};stroke:var(--paper)` : `fill:var(--paper);stroke:${fill};stroke-width:2`,
  });
}

// Axes: linear or logarithmic, with round ticks.
function axis(values, low, high, log) {
  let from = minOf(values), to = maxOf(values);
  if (log) {
    from = Math.log10(from); to = Math.log10(to);
    if (to - from < 0.3) { from -= 0.15; to += 0.15; }
  } else {
    const size = Math.max(Math.abs(from), Math.abs(to)) || 1, more = 0.05 * size + 1e-3 * Math.min(size, 1);
    if (to - from < 1e-9 * size) { from -= more; to += more; }
  }
  const pad = 0.06 * (to - from);
  from -= pad; to += pad;
  const at = (v) => low + ((log ? Math.log10(v) : v) - from) / (to - from) * (high - low);
  const ticks = [];
  if (log) {
    const steps = to - from > 2.5 ? [1] : to - from > 1 ? [1, 3] : [1, 2, 5];
    for (let e = Math.floor(from); e <= to; e++) for (const s of steps) {
      const v = s * 10 ** e;
      if (Math.log10(v) >= from && Math.log10(v) <= to) ticks.push(v);
    }
  } else {
    const raw = (to - from) / 5, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    for (let v = Math.ceil(from / step) * step; v <= to + 1e-12; v += step) ticks.push(+v.toPrecision(12));
  }
  return { at, ticks };
}

// As wide as the column that it stands in, so that letters have their own size on a phone too.
const widthOf = (holder) => Math.max(280, Math.min(640, holder.clientWidth || 560));

function chart(id, points, options) {
  const holder = byId(id);
  holder.replaceChildren();
  const shown = points.filter((p) => present(p[options.x]) && present(p[options.y]));
  if (!shown.length) { holder.append(make("p", { class: "faint" }, "Nothing to draw here.")); return; }
  const W = widthOf(holder), H = Math.min(360, 0.75 * W + 60), L = 52, R = 14, T = 12, B = 44;
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": options.label });
  const all = (key, more) => shown.flatMap((p) => [p[key], ...more.map((m) => p[m]).filter(present)]);
  const [xl, xh] = options.xBars || [], [yl, yh] = options.yBars || [];
  const ideal = options.ideal ? shown.map((p) => p[options.ideal]).filter((v) => v > 0) : [];
  const x = axis(all(options.x, options.xBars || []), L, W - R, options.logX);
  const y = axis([...all(options.y, options.yBars || []), ...ideal], H - B, T, options.logY);
  if (options.ticksX && options.ticksX.length <= 8) x.ticks = options.ticksX;
  for (const v of x.ticks) svg.append(make("line", { x1: x.at(v), x2: x.at(v), y1: T, y2: H - B, class: "grid" }),
    make("text", { x: x.at(v), y: H - B + 15, "text-anchor": "middle" }, short(v)));
  for (const v of y.ticks) svg.append(make("line", { x1: L, x2: W - R, y1: y.at(v), y2: y.at(v), class: "grid" }),
    make("text", { x: L - 6, y: y.at(v) + 4, "text-anchor": "end" }, options.showY ? options.showY(v) : short(v)));
  svg.append(make("text", { x: (L + W - R) / 2, y: H - 8, "text-anchor": "middle" }, options.titleX),
    make("text", { transform: `translate(13 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle" }, options.titleY));
  const line = (some, key, attributes) => svg.append(make("polyline", { fill: "none", ...attributes, points: some.map((p) => `${x.at(p[options.x])},${y.at(p[key])}`).join(" ") }));
  const left = shown.filter((p) => fits(p) && (options.exact || trusted(p)));
  if (options.front) line(pareto(left, options.x), options.y, { class: "front" });
  const rising = [...shown].sort((a, b) => a[options.x] - b[options.x]);
  if (options.ideal) for (const method of unique(shown.map((p) => p.method))) {
    line(rising.filter((p) => p.method === method && p[options.ideal] > 0), options.ideal, { class: "ideal" });
  }
  if (options.fronts) for (const some of grouped(left, (p) => p.backend + p.target)) {
    line(pareto(some, options.x), options.y, { class: "own-front", style: `stroke:${colour(some[0])}` });
  }
  if (options.lines) for (const some of grouped(rising, (p) => [p.backend, p.target, p.method].join("|"))) {
    line(some, options.y, { style: `stroke:${colour(some[0])}`, "stroke-dasharray": dash(some[0].method) });
  }
  const placed = rising.map((p) => ({ p, x: x.at(p[options.x]), y: y.at(p[options.y]), r: 5 }));
  if (options.exact) ringed(placed);
  for (const { p, x: px, y: py, r, ring } of placed) {
    const group = make("g", { class: [fits(p) ? "" : "out", trusted(p) ? "" : "untrusted"].join(" ").trim() });
    if (xl && present(p[xl]) && present(p[xh])) group.append(make("line", { x1: x.at(p[xl]), x2: x.at(p[xh]), y1: py, y2: py, class: "bar", style: `stroke:${colour(p)}` }));
    if (yl && present(p[yl]) && present(p[yh])) group.append(make("line", { x1: px, x2: px, y1: y.at(p[yl]), y2: y.at(p[yh]), class: "bar", style: `stroke:${colour(p)}` }));
    const point = mark(p, px, py, r, ring);
    point.setAttribute("class", p === state.best ? "point best" : "point");
    point.setAttribute("tabindex", "-1");
    point.setAttribute("role", "img");
    point.setAttribute("aria-label", p.title);
    for (const event of ["pointerenter", "focus"]) point.addEventListener(event, () => { if (!state.tip?.pinned) showTip(p, point); });
    point.addEventListener("click", () => showTip(p, point, true));
    for (const event of ["pointerleave", "blur"]) point.addEventListener(event, () => { if (!state.tip?.pinned) hideTip(); });
    group.append(point);
    svg.append(group);
  }
  if (options.ratios) nameRatios(svg, placed, options, pareto(left, options.x), { left: L, right: W - R, top: 2, bottom: H - B });
  svg.querySelector(".point").setAttribute("tabindex", "0");
  svg.addEventListener("keydown", walk);
  holder.append(svg);
}

// Points of one network have the same MACs: each stands there, as a ring around those that it would hide.
function ringed(placed) {
  for (const columns of grouped(placed, (at) => Math.round(2 * at.x))) {
    const step = Math.min(3.5, 30 / columns.length);
    for (const at of columns) {
      const near = columns.filter((other) => other.rank !== undefined && Math.abs(other.y - at.y) < 14).map((other) => other.rank);
      at.rank = 0;
      while (near.includes(at.rank)) at.rank++;
      at.ring = at.rank > 0;
      at.r = 4 + at.rank * step + (at.ring ? 1 : 0);
    }
  }
  placed.sort((a, b) => a.x - b.x || b.r - a.r);
}

// The ratio beside a point, those of the front first; where there is no room beside it there is none.
function nameRatios(svg, placed, options, front, bounds) {
  const taken = placed.map(({ x, y, r }) => ({ left: x - r, right: x + r, top: y - r, bottom: y + r })), named = new Set();
  for (const { p, x, y, r } of [...placed].sort((a, b) => front.includes(b.p) - front.includes(a.p))) {
    const text = SHOWN.ratio[0][p.number], key = `${p.method} ${text} ${Math.round(x)}`, width = 6.5 * text.length;
    if (options.exact && named.has(key)) continue;
    for (const [dx, dy] of [[r + 2, -3], [r + 2, 12], [-r - 2 - width, -3], [-r - 2 - width, 12], [-width / 2, -r - 3], [-width / 2, r + 11]]) {
      const box = { left: x + dx, right: x + dx + width, top: y + dy - 9, bottom: y + dy + 1 };
      if (box.left < bounds.left || box.right > bounds.right || box.top < bounds.top || box.bottom > bounds.bottom) continue;
      if (taken.some((other) => other.left < box.right && box.left < other.right && other.top < box.bottom && box.top < other.bottom)) continue;
      svg.append(make("text", { x: box.left, y: y + dy, class: fits(p) ? "name" : "name out" }, text));
      taken.push(box);
      named.add(key);
      break;
    }
  }
}

// One stop of the Tab key for a chart; within it, arrow keys walk from point to point, left to right.
function walk(event) {
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  const points = [...event.currentTarget.querySelectorAll(".point")], here = points.indexOf(event.target);
  const ends = { Home: points[0], End: points[points.length - 1] };
  if (event.key === "Enter" && here >= 0) points[here].dispatchEvent(new Event("click")), byId("tip").querySelector("summary").focus();
  const next = ends[event.key] || (step && here >= 0 && points[here + step]);
  if (step || ends[event.key]) event.preventDefault();
  if (!next) return;
  event.target.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}

function grouped(points, key) {
  const groups = new Map();
  for (const p of points) groups.set(key(p), [...(groups.get(key(p)) || []), p]);
  return [...groups.values()];
}

function pareto(points, x) {
  const sorted = [...points].sort((a, b) => a[x] - b[x] || goodness(b) - goodness(a));
  let best = -Infinity;
  return sorted.filter((p) => goodness(p) > best && ((best = goodness(p)), true));
}

// What a point is, in eight lines; all fields of its record on request.
function linesOf(p) {
  const told = (id) => SHOWN[id].map((texts) => texts[p.number]), known = ([number]) => number !== "–";
  const interval = ([, bounds]) => bounds ? ` [${bounds}]` : "";
  const [score, latency, speedup, total, macs, params, size] = ["score", "latency", "speedup", "total", "macs", "params", "size_bytes"].map(told);
  const lost = p.lost === null ? "" : measureOf(p).percent ? `, ${inPoints(p.lost)} lost`
    : p.lost === 0 ? ", as dense" : `, ${short(Math.abs(p.lost))} ${p.lost > 0 ? "worse" : "better"} than dense`;
  const fewer = p.mac_reduction && p.ratio ? `, ${short(p.mac_reduction)} times fewer than dense` : "";
  return [
    `${p.model} on ${p.dataset}`,
    `${measureOf(p).name} ${scoreText(p)}${interval(score)}${lost}`,
    `latency ${latency[0]} ms${interval(latency)}`,
    known(speedup) ? `speed-up ${speedup[0]}×${interval(speedup)} over dense on the same backend` : "speed-up: none, this is what others are compared with",
    known(total) ? `total speed-up ${total[0]}×${interval(total)} over dense eager fp32` : "total speed-up: not known",
    `${macs[0]} MACs${fewer}`,
    `${params[0]} parameters, ${size[0]} on disk; ` + (p.contaminated ? "~ contaminated: times are not to be trusted" : p.status === "failed" ? "✗ failed" : "times not contaminated"),
  ];
}
function showTip(p, anchor, pinned = false) {
  state.tip = { p, anchor, pinned };
  const tip = byId("tip");
  const record = make("details", {}, make("summary", {}, pinned ? "whole record" : "click, or press Enter, for the whole record"));
  record.addEventListener("toggle", () => {
    if (record.open && record.children.length === 1) record.append(make("div", { class: "facts" }, ...FACTS.filter(([, texts]) => texts[p.number])
      .map(([name, texts]) => make("div", {}, make("span", {}, `${name}:`), " " + texts[p.number]))));
    placeTip();
  });
  tip.replaceChildren(make("strong", {}, p.title), ...linesOf(p).map((line) => make("div", { class: "line" }, line)), record);
  tip.classList.toggle("pinned", pinned);
  tip.hidden = false;
  placeTip();
}
function placeTip() {
  const tip = byId("tip"), box = state.tip.anchor.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const right = box.right + 10 + size.width < innerWidth;
  tip.style.left = Math.max(4, Math.min(right ? box.right + 10 : box.left - size.width - 10, innerWidth - size.width - 4)) + "px";
  tip.style.top = Math.max(4, Math.min(box.top + 14, innerHeight - size.height - 4)) + "px";
}
function hideTip() { state.tip = null; byId("tip").hidden = true; }
// Reaching a point by keyboard may scroll to it: its note goes along. One that was asked for stays; others go.
function moveTip() {
  if (!state.tip || state.tip.pinned) return;
  if (state.tip.anchor === document.activeElement) placeTip();
  else hideTip();
}
function closeTip() {
  const anchor = state.tip?.pinned && byId("tip").contains(document.activeElement) ? state.tip.anchor : null;
  hideTip();
  anchor?.focus();
  if (anchor) hideTip();
}

// Within the budgets by its numbers; `rankCells` asks its bounds too.
const fits = (p) => crossed(p, state.limits, measureOf(p).lower) < Infinity;
const offered = () => POINTS.filter((p) => p.group === state.group && (!state.target || p.target === state.target) && String(p.batch) === state.batch);
const chosen = () => offered().filter((p) => ![p.backend, p.method, p.target].some((name) => state.hidden.has(name)));

// The rule is that of `pruning-bench recommend`: see `rule.js`. Times of unlike machines are not compared.
function findBest(points) {
  const apart = unique(points.filter((p) => present(p.latency)).map((p) => p.machine)).length > 1, order = apart ? [] : rankCells(points, state.limits, measureHere().lower);
  const [first] = order, second = first ? secondOf(order) : null, faster = fasterButNotSure(order);
  const untrusted = points.filter((p) => !trusted(p) && p.score !== null && p.latency !== null && fits(p)).length;
  const skipped = untrusted ? `; ${untrusted} more ${untrusted > 1 ? "are" : "is"} contaminated or failed, and not recommended` : "";
  state.best = first ? first.p : null;
  byId("best").textContent = first
    ? `Fastest cell within the budgets: ${first.p.title}, at most ${short(slowest(first.p))} ms, ${measureOf(first.p).name} ${scoreText(first.p)}`
      + (present(first.p.total_low) ? `, at least ${short(first.p.total_low)}× as fast as dense eager fp32` : "") + notSure(first)
      + (isTie(first, second) ? `; a tie with ${second.p.title}: their times overlap` : "")
      + (faster ? `; faster, but ${notSure(faster).slice(2)}: ${faster.p.title}` : "") + ` (${order.length} ${order.length > 1 ? "cells fit" : "cell fits"}${skipped})`
    : apart ? "These cells are of several machines, devices or numbers of threads: choose a file and device to have one recommended."
    : untrusted ? `Nothing to recommend: all ${untrusted} cells within the budgets are contaminated or failed.` : "No cell fits the budgets.";
}
function notSure({ p, crossed }) {
  const { score, lost, bytes, latency } = gradesOf(p, state.limits, measureHere().lower), words = [];
  const may = (grade, bound, text) => { if (grade === NOT_SURE) words.push(present(bound) ? text : "there is no interval"); };
  may(score, p.score_low, "its score may be beyond the limit");
  may(lost, p.lost_high, measureOf(p).percent ? `it may lose ${inPoints(p.lost_high)}` : `it may be worse by ${short(p.lost_high)}`);
  may(bytes, p.size_bytes, "its file is to be weighed");
  may(latency, slowest(p), `it may take ${short(slowest(p))} ms`);
  return crossed ? `, not sure: ${words.join(", ")}` : "";
}

// Backends, methods, files and devices are switches.
function drawLegend() {
  const legend = byId("legend"), points = offered(), focused = document.activeElement.dataset?.name;
  const sample = (...shapes) => make("svg", { viewBox: "0 0 22 14", "aria-hidden": "true" }, ...shapes);
  const toggle = (name, symbol) => {
    const button = make("button", { type: "button", "aria-pressed": String(!state.hidden.has(name)) }, symbol, " " + name);
    button.dataset.name = name;
    button.addEventListener("click", () => {
      if (!state.hidden.delete(name)) state.hidden.add(name);
      draw();
    });
    return button;
  };
  const targets = unique(points.map((p) => p.target)), methods = METHODS.filter((name) => points.some((p) => p.method === name));
  legend.replaceChildren(
    ...unique(points.map((p) => p.backend)).map((backend) => toggle(backend, sample(mark({ backend }, 11, 7, 5)))),
    ...(methods.length > 1 ? methods : []).map((method) => toggle(method, sample(make("line", { x1: 1, x2: 21, y1: 7, y2: 7, class: "axis", "stroke-width": 2, "stroke-dasharray": dash(method) })))),
    ...(targets.length > 1 ? targets : []).map((target) => toggle(target, sample(mark({ target }, 11, 7, 5)))),
  );
  for (const button of legend.querySelectorAll("button")) if (button.dataset.name === focused) button.focus();
}

// What is kept of each layer, in percent of its dense width: a line for each checkpoint, its ratio above.
function drawWidths() {
  const holder = byId("widths");
  holder.replaceChildren();
  const rows = DATA.widths.filter((w) => w.group === state.group && !state.hidden.has(w.method) && w.ratio > 0);
  if (!rows.length) { holder.append(make("p", { class: "faint" }, "No widths in these files.")); return; }
  // What no checkpoint has pruned, as a classifier, has nothing to show.
  const layers = Object.keys(rows[0].dense).filter((layer) => rows.some((row) => row.widths[layer] !== row.dense[layer])), W = widthOf(holder), L = Math.min(0.42 * W, 16 + 6.4 * maxOf(layers.map((layer) => layer.length))), letters = Math.floor((L - 14) / 6.4), R = 40, T = 24, step = 16;
  const H = T + layers.length * step + 22, at = (share) => L + (W - L - R) * share;
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "channels kept of each layer, in percent" });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) svg.append(make("line", { x1: at(share), x2: at(share), y1: T - 6, y2: H - 20, class: "grid" }),
    make("text", { x: at(share), y: H - 6, "text-anchor": "middle" }, `${100 * share} %`));
  layers.forEach((layer, i) => svg.append(make("text", { x: L - 8, y: T + i * step + 8, "text-anchor": "end" }, layer.length > letters ? "…" + layer.slice(1 - letters) : layer),
    make("text", { x: W - R + 6, y: T + i * step + 8, class: "faint" }, String(rows[0].dense[layer]))));
  const methods = unique(rows.map((row) => row.method));
  for (const row of rows) {
    const kept = layers.flatMap((layer, i) => row.dense[layer] ? [[at((row.widths[layer] ?? 0) / row.dense[layer]), T + i * step + 4, layer]] : []);
    const style = `stroke:var(--c${methods.indexOf(row.method) % 11})`;
    svg.append(make("polyline", { fill: "none", style, "stroke-dasharray": dash(row.method), points: kept.map(([x, y]) => `${x},${y}`).join(" ") }));
    for (const [x, y, layer] of kept) {
      const dot = make("line", { x1: x, x2: x, y1: y - 5, y2: y + 5, style, "stroke-width": 3 });
      dot.append(make("title", {}, `${layer}, ${row.method} ${row.ratio}: ${row.widths[layer] ?? 0} of ${row.dense[layer]}`));
      svg.append(dot);
    }
  }
  const labels = [...grouped(rows, (row) => row.ratio)].map(([row]) => [at((row.widths[layers[0]] ?? 0) / (row.dense[layers[0]] || 1)), row.ratio]);
  let last = -Infinity;
  // A ratio that has no room beside the one before it has its marks alone.
  for (const [x, ratio] of labels.sort(([a], [b]) => a - b)) if (x - last >= 30) {
    svg.append(make("text", { x, y: T - 10, "text-anchor": "middle", class: "ratio" }, String(ratio)));
    last = x;
  }
  holder.append(svg);
}

const named = (files) => files.slice(0, 4).join(", ") + (files.length > 4 ? ` and ${files.length - 4} more` : "");

function drawTable() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const points = POINTS.filter((p) => words.every((w) => p.search.includes(w)));
  points.sort((a, b) => {
    const [x, y] = [a[state.sort], b[state.sort]];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "string" ? x.localeCompare(y) : x - y;
    return state.down ? -order : order;
  });
  byId("count").textContent = `${points.length} of ${POINTS.length} cells`;
  const body = byId("cells").tBodies[0];
  body.replaceChildren(...points.slice(0, DATA.max_rows).map((p) => make("tr", {}, ...DATA.columns.map((c) => {
    const [number, interval] = SHOWN[c.id].map((texts) => texts[p.number]);
    const cell = make("td", c.kind === "text" ? { class: "text" } : {}, number);
    if (interval) cell.append(" ", make("small", {}, `[${interval}]`));
    return cell;
  }))));
  if (points.length > DATA.max_rows) byId("count").textContent += `, the first ${DATA.max_rows} are shown`;
  for (const th of byId("cells").tHead.rows[0].cells) th.setAttribute("aria-sort", th.dataset.id === state.sort ? (state.down ? "descending" : "ascending") : "none");
}

function draw() {
  const points = chosen();
  hideTip();
  findBest(points);
  drawLegend();
  const measure = measureHere(), name = cut(measure.name, 30);
  const score = { y: "score", yBars: ["score_low", "score_high"], titleY: measure.percent ? `${name}, %` : `${name}, ${measure.direction}`,
    showY: (v) => String(+(measure.percent ? 100 * v : v).toPrecision(measure.percent ? 4 : 6)), front: true };
  byId("shown").textContent = [state.group, named(unique(points.map((p) => p.file)))].filter(Boolean).join("; ");
  chart("by-latency", points, { ...score, ratios: true, x: "latency", xBars: ["latency_low", "latency_high"], logX: true, titleX: "latency of a call, ms", label: `${name} against latency`, fronts: true });
  chart("by-macs", points, { ...score, x: "macs", logX: true, titleX: "MACs of an image", label: `${name} against MACs`, exact: true, ratios: true });
  chart("by-ratio", points.filter((p) => p.ratio > 0), { x: "ratio", y: "speedup", yBars: ["speedup_low", "speedup_high"], logY: true, titleX: "ratio", titleY: "speed-up over dense, same backend", label: "speed-up against ratio", ideal: "mac_reduction", lines: true, ticksX: unique(points.map((p) => p.ratio)).filter((v) => v > 0) });
  drawWidths();
}

function fill(select, values, names) {
  select.replaceChildren(...values.map((value, i) => make("option", { value }, names ? names[i] : value)));
}
function chooseGroup() {
  const points = POINTS.filter((p) => p.group === state.group);
  const targets = unique(points.map((p) => p.target)), batches = unique(points.map((p) => p.batch)).sort((a, b) => a - b);
  fill(byId("target"), ["", ...targets], ["all", ...targets]);
  fill(byId("batch"), batches.map(String));
  state.target = "";
  state.batch = byId("batch").value = String(batches[0] ?? "");
  const measure = measureHere();
  byId("lost-label").textContent = measure.percent ? `points of ${measure.name} lost, at most` : `${measure.name} ${measure.lower ? "gained" : "lost"}, at most`;
  byId("max-lost").value = state.lost.get(measure) ?? (measure.percent ? "1.0" : hundredth(points.find((p) => p.method === DENSE)));
  byId("score-label").textContent = `${measure.name}${measure.percent ? " in %" : ""}, at ${measure.lower ? "most" : "least"}`;
  byId("limit-score").value = state.scores.get(measure) ?? "";
  readBudgets();
}
// What is scored of the network that is shown; a hundredth of a score, to begin with as what may be lost.
function measureHere() { return measureOf(POINTS.find((p) => p.group === state.group)); }
const hundredth = (p) => p && present(p.score) ? String(+(Math.abs(p.score) / 100).toPrecision(2)) : "";
// An empty field is no limit; any number will do.
function readBudgets() {
  const limit = (id, none, unit) => byId(id).value === "" ? none : Number(byId(id).value) * unit, share = measureHere().percent ? 0.01 : 1;
  state.limits = { lost: limit("max-lost", Infinity, share), score: limit("limit-score", null, share), latency: limit("max-latency", Infinity, 1), bytes: limit("max-size", Infinity, 1e6) };
  draw();
}

const headings = byId("cells").tHead.insertRow();
for (const column of DATA.columns) {
  const button = make("button", { type: "button" }, column.header);
  const th = make("th", { scope: "col", class: column.kind === "text" ? "text" : "", title: column.meaning }, button);
  th.dataset.id = column.id;
  button.addEventListener("click", () => {
    state.down = state.sort === column.id && !state.down;
    state.sort = column.id;
    drawTable();
  });
  headings.append(th);
}
const groups = unique(POINTS.map((p) => p.group));
fill(byId("group"), groups);
state.group = groups[0] || "";
byId("group").addEventListener("change", (e) => { state.group = e.target.value; chooseGroup(); });
byId("target").addEventListener("change", (e) => { state.target = e.target.value; draw(); });
byId("batch").addEventListener("change", (e) => { state.batch = e.target.value; draw(); });
byId("max-lost").addEventListener("input", (e) => state.lost.set(measureHere(), e.target.value));
byId("limit-score").addEventListener("input", (e) => state.scores.set(measureHere(), e.target.value));
for (const id of ["max-lost", "limit-score", "max-latency", "max-size"]) byId(id).addEventListener("input", readBudgets);
byId("filter").addEventListener("input", (e) => { state.text = e.target.value; drawTable(); });
addEventListener("keydown", (e) => { if (e.key === "Escape") closeTip(); });
addEventListener("pointerdown", (e) => { if (state.tip?.pinned && !byId("tip").contains(e.target) && !e.target.classList?.contains("point")) hideTip(); });
addEventListener("scroll", moveTip, { passive: true });
addEventListener("resize", () => { if (POINTS.length) draw(); });
if (POINTS.length) chooseGroup();
drawTable();
