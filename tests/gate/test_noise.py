"""The gate under noise: its false alarms, its power, and what it says of both."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy, Tolerances
from pruning_core.gate.render import to_json, to_markdown
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import (
    DENSE_LAT,
    LAT,
    cell_of,
    judge,
    slower,
    small_run,
    without_cell,
    without_field,
)


def test_two_unchanged_runs_raise_no_false_alarm(tmp_path: Path) -> None:
    """Of 200 gates over A/A runs of 20 cells, at most 5 % find a regression, even at no tolerance."""
    shape: dict[str, Any] = {"ratios": (0.25, 0.5, 0.75, 0.95), "batch_sizes": (32,), "suites": ("latency",)}
    runs = [factory.as_run(factory.make_content(seed=i, **shape), tmp_path) for i in range(201)]
    strict = Policy(Tolerances(slowdown=0.0))
    results = [compare(a, b, strict) for a, b in pairwise(runs)]
    assert {len(result.cells) for result in results} == {20}
    alarms = sum(result.verdict == "regressed" for result in results)
    assert alarms <= 10
    usual = [compare(a, b, Policy()) for a, b in pairwise(runs[:41])]
    assert {result.exit_code for result in usual} == {0}


def test_an_injected_slow_down_is_found_every_time(tmp_path: Path) -> None:
    """A slow-down of 10 % in one cell of 20 is found 20 of 20 times, and so is one round of 12 %."""
    shape: dict[str, Any] = {"ratios": (0.25, 0.5, 0.75, 0.95), "batch_sizes": (32,), "suites": ("latency",)}
    baseline = factory.as_run(factory.make_content(**shape), tmp_path)
    for seed in range(1, 21):
        content = factory.make_content(seed=seed, **shape)
        slower(1.10)(content)
        result = compare(baseline, factory.as_run(content, tmp_path), Policy())
        assert [c.cell for c in result.cells if c.verdict == "regressed"] == [LAT[1]]


def test_stated_power_is_about_right(tmp_path: Path) -> None:
    """A slow-down as large as the summary names is found in most runs, one of half that size in few."""
    shape: dict[str, Any] = {"ratios": (0.5,), "backends": ("eager:fp32", "onnxruntime:fp32")}
    shape |= {"batch_sizes": (32,), "suites": ("latency",), "noise": 0.02}
    baseline = factory.as_run(factory.make_content(**shape), tmp_path)
    stated = compare(baseline, baseline, Policy()).detectable_slowdown
    assert stated is not None
    assert 0.05 < stated < 0.15
    found = {stated: 0, 0.05 + (stated - 0.05) / 4: 0}
    for seed in range(1, 61):
        for slowdown in found:
            content = factory.make_content(seed=seed, **shape)
            slower(1 + slowdown)(content)
            result = compare(baseline, factory.as_run(content, tmp_path), Policy())
            found[slowdown] += result.verdict == "regressed"
    few, many = sorted(found.values())
    assert many >= 40
    assert few <= 25


def test_too_few_rounds_are_said(tmp_path: Path) -> None:
    """With so few rounds that no slow-down can be found among so many cells, the summary says so."""
    content = factory.make_content(rounds=5, ratios=(0.25, 0.5, 0.75, 0.95))
    result = judge(tmp_path, content, content)
    assert result.detectable_slowdown == math.inf
    assert "none, with so few rounds for so many cells" in to_markdown(result)
    assert json.loads(to_json(result))["detectable_slowdown"] is None


def test_a_state_of_the_machine_is_no_regression(tmp_path: Path) -> None:
    """Rounds that agree on a slow-down need the 5th percentile of calls to agree."""
    for factor in (0.9, 1.0, 1.04, 1.2):
        verdict = "regressed" if factor == 1.2 else "inconclusive"
        new, baseline = small_run(), small_run()
        slower(1.2)(new)
        factory.find(new, LAT)["latency_p05_ms"] = factory.find(baseline, LAT)["latency_p05_ms"] * factor
        found = cell_of(judge(tmp_path, new, baseline), LAT)
        assert found.verdict == verdict
        if verdict == "inconclusive":
            word = "faster" if factor < 1 else "slower"
            said = (
                f"; the 5th percentile of its calls is {abs(factor - 1):.1%} {word}: another run would tell"
            )
            assert said in found.reason


def test_the_5th_percentile_is_relative_to_the_reference(tmp_path: Path) -> None:
    """A reference whose calls became faster makes a cell slower relative to it, as its rounds say."""
    new, baseline = small_run(), small_run()
    slower(1.2)(new)
    p05_ms = factory.find(baseline, LAT)["latency_p05_ms"]
    factory.find(new, LAT)["latency_p05_ms"] = p05_ms
    factory.find(new, DENSE_LAT)["latency_p05_ms"] /= 1.2
    assert cell_of(judge(tmp_path, new, baseline), LAT).verdict == "regressed"


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("identity", [LAT, DENSE_LAT])
def test_without_a_5th_percentile_the_rounds_decide(
    tmp_path: Path, which: int, identity: tuple[str, str]
) -> None:
    """Where a file of before, or a run without the reference's cell, lacks them, ranks alone judge."""
    pair = [small_run(), small_run()]
    slower(1.2)(pair[0])
    factory.find(pair[0], LAT)["latency_p05_ms"] = factory.find(pair[1], LAT)["latency_p05_ms"]
    assert cell_of(judge(tmp_path, *pair), LAT).verdict == "inconclusive"
    without_field(identity, "latency_p05_ms")(pair[which])
    assert cell_of(judge(tmp_path, *pair), LAT).verdict == "regressed"
    if identity == DENSE_LAT:
        without_cell(identity)(pair[which])
        assert cell_of(judge(tmp_path, *pair), LAT).verdict == "regressed"
