"use strict";
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
const state = { group: "", place: "", batch: "", least: 0, most: Infinity, text: "", sort: "latency", down: false, hidden: new Set() };

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
const percent = (x) => (100 * x).toFixed(2) + " %";
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
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

// A backend has a colour and a shape, a device or machine a filling, a method a kind of line: in every chart.
const BACKENDS = unique(POINTS.map((p) => p.backend));
const PLACES = unique(POINTS.map((p) => p.place));
const METHODS = unique(POINTS.map((p) => p.method)).filter((name) => name !== DENSE);
const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "wedge"];
const FILLINGS = ["full", "hollow", "dotted"];
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const colour = (p) => `var(--c${BACKENDS.indexOf(p.backend) % 10})`;
const dash = (method) => DASHES[Math.max(METHODS.indexOf(method), 0) % DASHES.length];
function outline(kind, x, y, r) {
  return {
    circle: `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
    square: `M${x - r * 0.9},${y - r * 0.9}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
    triangle: `M${x},${y - r * 1.2}l${r * 1.15},${r * 2.1}h${-2.3 * r}z`,
    diamond: `M${x},${y - r * 1.3}l${r * 1.2},${r * 1.3}l${-r * 1.2},${r * 1.3}l${-r * 1.2},${-r * 1.3}z`,
    cross: `M${x - r * 1.1},${y - r * 0.4}h${r * 0.7}v${-r * 0.7}h${r * 0.8}v${r * 0.7}h${r * 0.7}v${r * 0.8}h${-r * 0.7}v${r * 0.7}h${-r * 0.8}v${-r * 0.7}h${-r * 0.7}z`,
    wedge: `M${x},${y + r * 1.2}l${r * 1.15},${-r * 2.1}h${-2.3 * r}z`,
  }[kind];
}
function mark(p, x, y, r) {
  const kind = SHAPES[Math.max(BACKENDS.indexOf(p.backend), 0) % SHAPES.length];
  const filling = FILLINGS[Math.max(PLACES.indexOf(p.place), 0) % FILLINGS.length];
  const fill = p.backend === undefined ? "var(--faint)" : colour(p);
  const inner = filling === "dotted" ? outline("circle", x, y, r * 0.4) : "";
  return make("path", {
    d: outline(kind, x, y, r) + inner, "fill-rule": "evenodd",
    style: filling === "hollow" ? `fill:var(--paper);stroke:${fill};stroke-width:2` : `fill:${fill};stroke:var(--paper)`,
  });
}

// Axes: linear or logarithmic, with round ticks.
function axis(values, low, high, log) {
  let from = least(values), to = most(values);
  if (log) {
    from = Math.log10(from); to = Math.log10(to);
    if (to - from < 0.3) { from -= 0.15; to += 0.15; }
  } else if (to - from < 1e-9) { from -= Math.abs(from) * 0.05 + 1e-3; to += Math.abs(to) * 0.05 + 1e-3; }
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

// As wide as its place, so that letters have their own size on a phone too.
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
  const left = shown.filter(fits);
  if (options.front) line(pareto(left, options.x, options.y), options.y, { class: "front" });
  const rising = [...shown].sort((a, b) => a[options.x] - b[options.x]);
  if (options.ideal) for (const method of unique(shown.map((p) => p.method))) {
    line(rising.filter((p) => p.method === method && p[options.ideal] > 0), options.ideal, { class: "ideal" });
  }
  if (options.fronts) for (const some of grouped(left, (p) => p.backend + p.place)) {
    line(pareto(some, options.x, options.y), options.y, { class: "own-front", style: `stroke:${colour(some[0])}` });
  }
  if (options.lines) for (const some of grouped(rising, (p) => [p.backend, p.place, p.method].join("|"))) {
    line(some, options.y, { style: `stroke:${colour(some[0])}`, "stroke-dasharray": dash(some[0].method) });
  }
  // Points that would hide each other stand side by side, a place for each backend.
  const backends = unique(shown.map((p) => p.backend)), step = Math.min(7, 0.1 * W / backends.length);
  const aside = (p) => options.spread ? (backends.indexOf(p.backend) - (backends.length - 1) / 2) * step : 0;
  for (const p of rising) {
    const px = x.at(p[options.x]) + aside(p), py = y.at(p[options.y]);
    const group = make("g", { class: fits(p) ? "" : "out" });
    if (xl && present(p[xl]) && present(p[xh])) group.append(make("line", { x1: x.at(p[xl]), x2: x.at(p[xh]), y1: py, y2: py, class: "bar", style: `stroke:${colour(p)}` }));
    if (yl && present(p[yl]) && present(p[yh])) group.append(make("line", { x1: px, x2: px, y1: y.at(p[yl]), y2: y.at(p[yh]), class: "bar", style: `stroke:${colour(p)}` }));
    const point = mark(p, px, py, 5);
    point.setAttribute("class", p === state.best ? "point best" : "point");
    point.setAttribute("tabindex", "-1");
    point.setAttribute("role", "img");
    point.setAttribute("aria-label", p.title);
    for (const event of ["pointerenter", "focus", "click"]) point.addEventListener(event, () => showTip(p, point));
    for (const event of ["pointerleave", "blur"]) point.addEventListener(event, hideTip);
    group.append(point);
    svg.append(group);
  }
  svg.querySelector(".point").setAttribute("tabindex", "0");
  svg.addEventListener("keydown", walk);
  holder.append(svg);
}

// One stop of the Tab key for a chart; within it, arrow keys walk from point to point, left to right.
function walk(event) {
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  const points = [...event.currentTarget.querySelectorAll(".point")], here = points.indexOf(event.target);
  const ends = { Home: points[0], End: points[points.length - 1] };
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

function pareto(points, x, y) {
  const sorted = [...points].sort((a, b) => a[x] - b[x] || b[y] - a[y]);
  let best = -Infinity;
  return sorted.filter((p) => p[y] > best && ((best = p[y]), true));
}

function showTip(p, anchor) {
  state.tip = [p, anchor];
  const tip = byId("tip");
  const facts = FACTS.filter(([, texts]) => texts[p.number]).map(([name, texts]) => make("div", {}, make("span", {}, `${name}:`), " " + texts[p.number]));
  tip.replaceChildren(make("strong", {}, p.title), make("div", { class: "facts" }, ...facts));
  tip.hidden = false;
  const box = anchor.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const right = box.right + 10 + size.width < innerWidth;
  tip.style.left = Math.max(4, Math.min(right ? box.right + 10 : box.left - size.width - 10, innerWidth - size.width - 4)) + "px";
  tip.style.top = Math.max(4, Math.min(box.top + 14, innerHeight - size.height - 4)) + "px";
}
function hideTip() { state.tip = null; byId("tip").hidden = true; }
// Reaching a point by keyboard may scroll to it: its note goes along. Any other note is left behind.
function moveTip() {
  if (state.tip && state.tip[1] === document.activeElement) showTip(...state.tip);
  else hideTip();
}

const fits = (p) => (p.accuracy === null || p.accuracy >= state.least) && (p.latency === null || p.latency <= state.most);
const offered = () => POINTS.filter((p) => p.group === state.group && (!state.place || p.place === state.place) && String(p.batch) === state.batch);
const chosen = () => offered().filter((p) => !state.hidden.has(p.backend) && !state.hidden.has(p.method));

function findBest(points) {
  const left = points.filter((p) => fits(p) && p.accuracy !== null && p.latency !== null);
  // Fastest within both budgets; among equals the more accurate.
  state.best = left.sort((a, b) => a.latency - b.latency || b.accuracy - a.accuracy)[0] || null;
  byId("best").textContent = state.best
    ? `Fastest cell left: ${state.best.title}, ${short(state.best.latency)} ms, accuracy ${percent(state.best.accuracy)}`
      + (state.best.total ? `, ${short(state.best.total)}× as fast as dense eager fp32` : "") + ` (${left.length} cells fit)`
    : "No cell fits both budgets.";
}

// Backends and methods are switches; devices are explained.
function drawLegend() {
  const legend = byId("legend"), points = offered(), focused = document.activeElement.dataset?.name;
  const sample = (...shapes) => make("svg", { viewBox: "0 0 22 14", "aria-hidden": "true" }, ...shapes);
  const toggle = (name, picture) => {
    const button = make("button", { type: "button", "aria-pressed": String(!state.hidden.has(name)) }, picture, " " + name);
    button.dataset.name = name;
    button.addEventListener("click", () => {
      if (!state.hidden.delete(name)) state.hidden.add(name);
      draw();
    });
    return button;
  };
  const places = unique(points.map((p) => p.place)), methods = METHODS.filter((name) => points.some((p) => p.method === name));
  legend.replaceChildren(
    ...unique(points.map((p) => p.backend)).map((backend) => toggle(backend, sample(mark({ backend }, 11, 7, 5)))),
    ...(methods.length > 1 ? methods : []).map((method) => toggle(method, sample(make("line", { x1: 1, x2: 21, y1: 7, y2: 7, class: "axis", "stroke-width": 2, "stroke-dasharray": dash(method) })))),
    ...(places.length > 1 ? places : []).map((place) => make("span", {}, sample(mark({ place }, 11, 7, 5)), " " + place)),
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
  const layers = Object.keys(rows[0].dense).filter((layer) => rows.some((row) => row.widths[layer] !== row.dense[layer])), W = widthOf(holder), L = Math.min(150, 0.36 * W), R = 40, T = 24, step = 16;
  const H = T + layers.length * step + 22, at = (share) => L + (W - L - R) * share;
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "channels kept of each layer, in percent" });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) svg.append(make("line", { x1: at(share), x2: at(share), y1: T - 6, y2: H - 20, class: "grid" }),
    make("text", { x: at(share), y: H - 6, "text-anchor": "middle" }, `${100 * share} %`));
  layers.forEach((layer, i) => svg.append(make("text", { x: L - 8, y: T + i * step + 8, "text-anchor": "end" }, layer),
    make("text", { x: W - R + 6, y: T + i * step + 8, class: "faint" }, String(rows[0].dense[layer]))));
  const methods = unique(rows.map((row) => row.method));
  for (const row of rows) {
    const places = layers.flatMap((layer, i) => row.dense[layer] ? [[at((row.widths[layer] ?? 0) / row.dense[layer]), T + i * step + 4, layer]] : []);
    const style = `stroke:var(--c${methods.indexOf(row.method) % 10})`;
    svg.append(make("polyline", { fill: "none", style, "stroke-dasharray": dash(row.method), points: places.map(([x, y]) => `${x},${y}`).join(" ") }));
    for (const [x, y, layer] of places) {
      const dot = make("line", { x1: x, x2: x, y1: y - 5, y2: y + 5, style, "stroke-width": 3 });
      dot.append(make("title", {}, `${layer}, ${row.method} ${row.ratio}: ${row.widths[layer] ?? 0} of ${row.dense[layer]}`));
      svg.append(dot);
    }
  }
  const labels = [...grouped(rows, (row) => row.ratio)].map(([row]) => [at((row.widths[layers[0]] ?? 0) / (row.dense[layers[0]] || 1)), row.ratio]);
  let last = -Infinity;
  // A ratio that has no room beside the one before it is told by its marks alone.
  for (const [x, ratio] of labels.sort(([a], [b]) => a - b)) if (x - last >= 30) {
    svg.append(make("text", { x, y: T - 10, "text-anchor": "middle", class: "ratio" }, String(ratio)));
    last = x;
  }
  holder.append(svg);
}

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
  body.replaceChildren(...points.slice(0, DATA.most).map((p) => make("tr", {}, ...DATA.columns.map((c) => {
    const [number, interval] = SHOWN[c.id].map((texts) => texts[p.number]);
    const cell = make("td", c.kind === "text" ? { class: "text" } : {}, number);
    if (interval) cell.append(" ", make("small", {}, `[${interval}]`));
    return cell;
  }))));
  if (points.length > DATA.most) byId("count").textContent += `, the first ${DATA.most} are shown`;
  for (const th of byId("cells").tHead.rows[0].cells) th.setAttribute("aria-sort", th.dataset.id === state.sort ? (state.down ? "descending" : "ascending") : "none");
}

function draw() {
  const points = chosen();
  hideTip();
  findBest(points);
  drawLegend();
  const accuracy = { y: "accuracy", yBars: ["accuracy_low", "accuracy_high"], titleY: "accuracy, %", showY: (v) => String(+(100 * v).toPrecision(4)), front: true };
  chart("by-latency", points, { ...accuracy, x: "latency", xBars: ["latency_low", "latency_high"], logX: true, titleX: "latency of a call, ms", label: "accuracy against latency", fronts: true });
  chart("by-macs", points, { ...accuracy, x: "macs", logX: true, titleX: "MACs of an image", label: "accuracy against MACs", spread: true });
  chart("by-ratio", points.filter((p) => p.ratio > 0), { x: "ratio", y: "speedup", yBars: ["speedup_low", "speedup_high"], logY: true, titleX: "ratio", titleY: "speed-up over dense, same backend", label: "speed-up against ratio", ideal: "mac_reduction", lines: true, ticksX: unique(points.map((p) => p.ratio)).filter((v) => v > 0) });
  drawWidths();
}

function fill(select, values, names) {
  select.replaceChildren(...values.map((value, i) => make("option", { value }, names ? names[i] : value)));
}
function chooseGroup() {
  const points = POINTS.filter((p) => p.group === state.group);
  const places = unique(points.map((p) => p.place)), batches = unique(points.map((p) => String(p.batch)));
  fill(byId("place"), ["", ...places], ["all", ...places]);
  fill(byId("batch"), batches);
  state.place = "";
  state.batch = batches[batches.length - 1] || "";
  byId("batch").value = state.batch;
  chooseBudgets();
}
function chooseBudgets() {
  const points = offered();
  const accuracies = points.map((p) => p.accuracy).filter(present), latencies = points.map((p) => p.latency).filter(present);
  state.ends = [least([...accuracies, 1]), most([...accuracies, 0]), Math.log(least(latencies)), Math.log(most(latencies))];
  byId("least").value = 0;
  byId("most").value = 1000;
  readBudgets();
}
function readBudgets() {
  const [a, b, c, d] = state.ends;
  const left = Number(byId("least").value) / 1000, right = Number(byId("most").value) / 1000;
  state.least = a + (b - a) * left - 1e-12;
  state.most = Math.exp(c + (d - c) * right) * (1 + 1e-12);
  byId("least-text").textContent = percent(state.least);
  byId("most-text").textContent = short(state.most) + " ms";
  draw();
}

const head = byId("cells").tHead.insertRow();
for (const column of DATA.columns) {
  const button = make("button", { type: "button" }, column.head);
  const th = make("th", { scope: "col", class: column.kind === "text" ? "text" : "" }, button);
  th.dataset.id = column.id;
  button.addEventListener("click", () => {
    state.down = state.sort === column.id && !state.down;
    state.sort = column.id;
    drawTable();
  });
  head.append(th);
}
const groups = unique(POINTS.map((p) => p.group));
fill(byId("group"), groups);
state.group = groups[0] || "";
byId("group").addEventListener("change", (e) => { state.group = e.target.value; chooseGroup(); });
byId("place").addEventListener("change", (e) => { state.place = e.target.value; chooseBudgets(); });
byId("batch").addEventListener("change", (e) => { state.batch = e.target.value; chooseBudgets(); });
for (const id of ["least", "most"]) byId(id).addEventListener("input", readBudgets);
byId("filter").addEventListener("input", (e) => { state.text = e.target.value; drawTable(); });
addEventListener("keydown", (e) => { if (e.key === "Escape") hideTip(); });
addEventListener("scroll", moveTip, { passive: true });
addEventListener("resize", () => { if (POINTS.length) draw(); });
if (POINTS.length) chooseGroup();
drawTable();
