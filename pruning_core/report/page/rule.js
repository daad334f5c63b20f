"use strict";
// Which cell to ship: the rule of `pruning-bench recommend`, told in report/recommendation/ranking.py. A test
// lets both answer the same questions.
// A limit of Infinity is none. All is turned so that smaller is better.
const SURE = 0, NOT_SURE = 1, BEYOND = 2;
const slowest = (p) => p.latency_high ?? p.latency;
const trusted = (p) => !p.contaminated && p.status !== "failed";
const badness = (lower, value) => value === null || value === undefined ? null : lower ? value : -value;

function gradeOf(limit, value, bound) {
  if (limit === Infinity) return SURE;
  const within = limit + 1e-12 + 1e-9 * Math.abs(limit);
  if (value === null || value === undefined || value > within) return BEYOND;
  return bound !== null && bound !== undefined && bound <= within ? SURE : NOT_SURE;
}

// What each limit says of a cell. `limits.score` is null where there is none.
function gradesOf(p, limits, lower) {
  return {
    score: limits.score === null ? SURE : gradeOf(badness(lower, limits.score), badness(lower, p.score), badness(lower, lower ? p.score_high : p.score_low)),
    lost: gradeOf(limits.lost, p.lost, p.lost_high),
    bytes: gradeOf(limits.bytes, p.expected_bytes, p.size_bytes),
    latency: gradeOf(limits.latency, p.latency, slowest(p)),
  };
}

// How many limits a cell is not sure to keep; Infinity where it is beyond one.
function crossed(p, limits, lower) {
  const grades = Object.values(gradesOf(p, limits, lower));
  return grades.includes(BEYOND) ? Infinity : grades.filter((grade) => grade === NOT_SURE).length;
}

// Cells of one network, machine and batch size, in the order of their records → those that fit, the one to ship first.
function rankCells(points, limits, lower) {
  const last = [...new Map(points.map((p) => [p.identity, p])).values()];
  const order = last.filter((p) => trusted(p) && p.score !== null && p.latency !== null)
    .map((p) => ({ p, crossed: crossed(p, limits, lower) })).filter((cell) => cell.crossed < Infinity)
    .sort((a, b) => a.crossed - b.crossed || slowest(a.p) - slowest(b.p) || badness(lower, a.p.score) - badness(lower, b.p.score));
  if (!order.length || !order[0].p.reference) return order;
  const [first, ...others] = order, isFaster = (cell) => slowest(cell.p) < slowest(first.p);
  return [...others.filter(isFaster), first, ...others.filter((cell) => !isFaster(cell))];
}

const anotherSeed = (a, b) => a.design === b.design && a.seed !== b.seed;
const secondOf = (order) => order.slice(1).find((cell) => !anotherSeed(cell.p, order[0].p)) || null;
const isTie = (first, second) => second !== null && first.p.latency_low <= second.p.latency_high && second.p.latency_low <= first.p.latency_high;
const fasterButNotSure = (order) => order.length && order[0].crossed === 0
  ? order.filter((cell) => cell.crossed > 0 && slowest(cell.p) < slowest(order[0].p)).sort((a, b) => slowest(a.p) - slowest(b.p))[0] || null : null;
