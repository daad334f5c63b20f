"use strict";
// Everything below draws from the JSON in the page; nothing is fetched. Texts go in by textContent only.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const SHAPES = ["circle", "square", "triangle", "diamond", "cross"];
const state = { group: "", place: "", batch: "", least: 0, most: Infinity, text: "", sort: "latency", down: false };

function make(name, attributes, ...children) {
  const svg = ["svg", "g", "path", "line", "text", "polyline"].includes(name);
  const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const byId = (id) => document.getElementById(id);
const unique = (values) => [...new Set(values)];
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

// One colour for each backend, one shape for each device and machine: the same in every chart.
const BACKENDS = unique(DATA.points.map((p) => p.backend));
const PLACES = unique(DATA.points.map((p) => p.place));
const colour = (p) => `var(--c${BACKENDS.indexOf(p.backend) % 10})`;
function shape(kind, x, y, r) {
  const paths = {
    circle: `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
    square: `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    triangle: `M${x},${y - r * 1.2}l${r * 1.15},${r * 2.1}h${-2.3 * r}z`,
    diamond: `M${x},${y - r * 1.3}l${r * 1.2},${r * 1.3}l${-r * 1.2},${r * 1.3}l${-r * 1.2},${-r * 1.3}z`,
    cross: `M${x - r},${y - r / 3}h${r * 0.67}v${-r * 0.67}h${r * 0.67}v${r * 0.67}h${r * 0.67}v${r * 0.67}h${-r * 0.67}v${r * 0.67}h${-r * 0.67}v${-r * 0.67}h${-r * 0.67}z`,
  };
  return make("path", { d: paths[kind] });
}
const shapeOf = (p) => SHAPES[PLACES.indexOf(p.place) % SHAPES.length];

// Axes: linear or logarithmic, with round ticks.
function axis(values, low, high, log) {
  let from = Math.min(...values), to = Math.max(...values);
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
    for (let v = Math.ceil(from / step) * step; v <= to + 1e-12; v += step) ticks.push(v);
  }
  return { at, ticks };
}

function chart(id, points, options) {
  const holder = byId(id);
  holder.replaceChildren();
  const shown = points.filter((p) => [p[options.x], p[options.y]].every((v) => v !== null && v !== undefined && isFinite(v)));
  if (!shown.length) { holder.append(make("p", { class: "faint" }, "Nothing to draw here.")); return; }
  const W = 560, H = 360, L = 58, R = 14, T = 12, B = 44;
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": options.label });
  const all = (key, more) => shown.flatMap((p) => [p[key], ...more.map((m) => p[m]).filter((v) => v !== null && v !== undefined)]);
  const ideal = options.ideal ? shown.map((p) => p[options.ideal]).filter((v) => v > 0) : [];
  const x = axis(all(options.x, options.xBars || []), L, W - R, options.logX);
  const y = axis([...all(options.y, options.yBars || []), ...ideal], H - B, T, options.logY);
  for (const v of x.ticks) svg.append(make("line", { x1: x.at(v), x2: x.at(v), y1: T, y2: H - B, class: "grid" }),
    make("text", { x: x.at(v), y: H - B + 15, "text-anchor": "middle" }, options.showX ? options.showX(v) : short(v)));
  for (const v of y.ticks) svg.append(make("line", { x1: L, x2: W - R, y1: y.at(v), y2: y.at(v), class: "grid" }),
    make("text", { x: L - 6, y: y.at(v) + 4, "text-anchor": "end" }, options.showY ? options.showY(v) : short(v)));
  svg.append(make("text", { x: (L + W - R) / 2, y: H - 8, "text-anchor": "middle" }, options.titleX),
    make("text", { transform: `translate(13 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle" }, options.titleY));
  if (options.front) {
    const front = pareto(shown, options.x, options.y);
    svg.append(make("polyline", { class: "front", points: front.map((p) => `${x.at(p[options.x])},${y.at(p[options.y])}`).join(" ") }));
  }
  if (options.ideal) {
    const line = unique(shown.filter((p) => p[options.ideal] > 0).map((p) => `${x.at(p[options.x])},${y.at(p[options.ideal])}`));
    svg.append(make("polyline", { class: "ideal", points: line.sort((a, b) => parseFloat(a) - parseFloat(b)).join(" ") }));
  }
  if (options.lines) for (const name of unique(shown.map((p) => p.backend + p.place))) {
    const line = shown.filter((p) => p.backend + p.place === name).sort((a, b) => a[options.x] - b[options.x]);
    svg.append(make("polyline", { fill: "none", style: `stroke:${colour(line[0])}`, points: line.map((p) => `${x.at(p[options.x])},${y.at(p[options.y])}`).join(" ") }));
  }
  for (const p of shown) {
    const px = x.at(p[options.x]), py = y.at(p[options.y]);
    const group = make("g", { class: fits(p) ? "" : "out" });
    const [xl, xh] = options.xBars || [], [yl, yh] = options.yBars || [];
    if (xl && p[xl] !== null && p[xh] !== null) group.append(make("line", { x1: x.at(p[xl]), x2: x.at(p[xh]), y1: py, y2: py, class: "bar", style: `stroke:${colour(p)}` }));
    if (yl && p[yl] !== null && p[yh] !== null) group.append(make("line", { x1: px, x2: px, y1: y.at(p[yl]), y2: y.at(p[yh]), class: "bar", style: `stroke:${colour(p)}` }));
    const point = shape(shapeOf(p), px, py, 5);
    point.setAttribute("class", p === state.best ? "point best" : "point");
    point.setAttribute("style", `fill:${colour(p)}`);
    point.setAttribute("tabindex", "0");
    point.setAttribute("role", "img");
    point.setAttribute("aria-label", p.title);
    for (const event of ["pointerenter", "focus", "click"]) point.addEventListener(event, () => showTip(p, point));
    for (const event of ["pointerleave", "blur"]) point.addEventListener(event, hideTip);
    group.append(point);
    svg.append(group);
  }
  holder.append(svg);
}

function pareto(points, x, y) {
  const sorted = [...points].sort((a, b) => a[x] - b[x] || b[y] - a[y]);
  let best = -Infinity;
  return sorted.filter((p) => p[y] > best && ((best = p[y]), true));
}

function showTip(p, anchor) {
  state.tip = [p, anchor];
  const tip = byId("tip");
  tip.textContent = p.title + "\n" + p.facts.map(([name, value]) => `${name}: ${value}`).join("\n");
  tip.hidden = false;
  const box = anchor.getBoundingClientRect(), size = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(box.left + 14, innerWidth - size.width - 4)) + "px";
  tip.style.top = Math.max(4, Math.min(box.top + 14, innerHeight - size.height - 4)) + "px";
}
function hideTip() { state.tip = null; byId("tip").hidden = true; }
// Reaching a point by keyboard may scroll to it: its note goes along. Any other note is left behind.
function moveTip() {
  if (state.tip && state.tip[1] === document.activeElement) showTip(...state.tip);
  else hideTip();
}

const fits = (p) => (p.accuracy === null || p.accuracy >= state.least) && (p.latency === null || p.latency <= state.most);
const chosen = () => DATA.points.filter((p) => p.group === state.group && (!state.place || p.place === state.place) && String(p.batch) === state.batch);

function findBest() {
  const left = chosen().filter((p) => fits(p) && p.accuracy !== null);
  // Fastest within both budgets; among equals the more accurate.
  state.best = left.sort((a, b) => a.latency - b.latency || b.accuracy - a.accuracy)[0] || null;
  byId("best").textContent = state.best
    ? `Fastest cell left: ${state.best.title}, ${short(state.best.latency)} ms, accuracy ${percent(state.best.accuracy)}`
      + (state.best.total ? `, ${short(state.best.total)}× as fast as dense eager fp32` : "") + ` (${left.length} cells fit)`
    : "No cell fits both budgets.";
}

function drawLegend() {
  const legend = byId("legend");
  legend.replaceChildren();
  const points = chosen();
  for (const backend of unique(points.map((p) => p.backend))) {
    const mark = shape("circle", 7, 7, 5);
    mark.setAttribute("style", `fill:${colour({ backend })}`);
    legend.append(make("span", {}, make("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, mark), " " + backend));
  }
  if (unique(points.map((p) => p.place)).length > 1) for (const place of unique(points.map((p) => p.place))) {
    const mark = shape(shapeOf({ place }), 7, 7, 5);
    mark.setAttribute("style", "fill:var(--faint)");
    legend.append(make("span", {}, make("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, mark), " " + place));
  }
}

function drawWidths() {
  const holder = byId("widths");
  holder.replaceChildren();
  const rows = DATA.widths.filter((w) => w.group === state.group);
  if (!rows.length) { holder.append(make("p", { class: "faint" }, "No widths in these files.")); return; }
  const layers = Object.keys(rows[0].dense), W = 560, L = 130, R = 40, step = 15;
  const H = 24 + layers.length * step, most = Math.max(...Object.values(rows[0].dense));
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "kept channels of each layer" });
  layers.forEach((layer, i) => {
    const y = 20 + i * step;
    svg.append(make("text", { x: L - 6, y: y + 4, "text-anchor": "end" }, layer));
    svg.append(make("line", { x1: L, x2: L + (W - L - R) * rows[0].dense[layer] / most, y1: y, y2: y, class: "grid", "stroke-width": 9 }));
    rows.forEach((row) => {
      const at = L + (W - L - R) * (row.widths[layer] || 0) / most;
      const mark = make("line", { x1: at, x2: at, y1: y - 5, y2: y + 5, style: "stroke:var(--c0)", "stroke-width": 2 });
      mark.append(make("title", {}, `${layer}, ratio ${row.ratio}: ${row.widths[layer]} of ${row.dense[layer]}`));
      svg.append(mark);
    });
    svg.append(make("text", { x: W - R + 4, y: y + 4 }, String(rows[0].dense[layer])));
  });
  holder.append(svg);
}

function drawTable() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const points = DATA.points.filter((p) => words.every((w) => p.search.includes(w)));
  points.sort((a, b) => {
    const [x, y] = [a[state.sort], b[state.sort]];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "string" ? x.localeCompare(y) : x - y;
    return state.down ? -order : order;
  });
  byId("count").textContent = `${points.length} of ${DATA.points.length} cells`;
  const body = byId("cells").tBodies[0];
  body.replaceChildren(...points.slice(0, DATA.most).map((p) => make("tr", {}, ...DATA.columns.map((c) => {
    const cell = make("td", c.kind === "text" ? { class: "text" } : {}, p.shown[c.id][0]);
    if (p.shown[c.id][1]) cell.append(" ", make("small", {}, "[" + p.shown[c.id][1] + "]"));
    return cell;
  }))));
  if (points.length > DATA.most) byId("count").textContent += `, the first ${DATA.most} are shown`;
  for (const th of byId("cells").tHead.rows[0].cells) th.setAttribute("aria-sort", th.dataset.id === state.sort ? (state.down ? "descending" : "ascending") : "none");
}

function draw() {
  findBest();
  drawLegend();
  const points = chosen();
  const accuracy = { y: "accuracy", yBars: ["accuracy_low", "accuracy_high"], titleY: "accuracy, %", showY: (v) => String(+(100 * v).toPrecision(4)) };
  chart("by-latency", points, { ...accuracy, x: "latency", xBars: ["latency_low", "latency_high"], logX: true, titleX: "latency of a call, ms", label: "accuracy against latency", front: true });
  chart("by-macs", points, { ...accuracy, x: "macs", logX: true, titleX: "MACs of an image", label: "accuracy against MACs", front: true });
  chart("by-ratio", points.filter((p) => p.ratio > 0), { x: "ratio", y: "speedup", yBars: ["speedup_low", "speedup_high"], logY: true, titleX: "ratio", titleY: "speed-up over dense, same backend", label: "speed-up against ratio", ideal: "mac_reduction", lines: true });
  drawWidths();
}

function fill(select, values, names) {
  select.replaceChildren(...values.map((value, i) => make("option", { value }, names ? names[i] : value)));
}
function chooseGroup() {
  const points = DATA.points.filter((p) => p.group === state.group);
  const places = unique(points.map((p) => p.place)), batches = unique(points.map((p) => String(p.batch)));
  fill(byId("place"), ["", ...places], ["all", ...places]);
  fill(byId("batch"), batches);
  state.place = "";
  state.batch = batches[batches.length - 1] || "";
  byId("batch").value = state.batch;
  chooseBudgets();
}
function chooseBudgets() {
  const points = chosen();
  const accuracies = points.map((p) => p.accuracy).filter((v) => v !== null), latencies = points.map((p) => p.latency).filter((v) => v !== null);
  state.ends = [Math.min(...accuracies, 1), Math.max(...accuracies, 0), Math.log(Math.min(...latencies)), Math.log(Math.max(...latencies))];
  byId("least").value = 0;
  byId("most").value = 1000;
  readBudgets();
}
function readBudgets() {
  const [a, b, c, d] = state.ends;
  const least = Number(byId("least").value) / 1000, most = Number(byId("most").value) / 1000;
  state.least = a + (b - a) * least - 1e-12;
  state.most = Math.exp(c + (d - c) * most) * (1 + 1e-12);
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
const groups = unique(DATA.points.map((p) => p.group));
fill(byId("group"), groups);
state.group = groups[0] || "";
byId("group").addEventListener("change", (e) => { state.group = e.target.value; chooseGroup(); });
byId("place").addEventListener("change", (e) => { state.place = e.target.value; chooseBudgets(); });
byId("batch").addEventListener("change", (e) => { state.batch = e.target.value; chooseBudgets(); });
for (const id of ["least", "most"]) byId(id).addEventListener("input", readBudgets);
byId("filter").addEventListener("input", (e) => { state.text = e.target.value; drawTable(); });
addEventListener("keydown", (e) => { if (e.key === "Escape") hideTip(); });
addEventListener("scroll", moveTip, { passive: true });
addEventListener("resize", hideTip);
if (DATA.points.length) chooseGroup();
drawTable();
