"""Totals: the product of a chain of speed-ups, its coverage, and chains that are not whole."""

import json
import math
from pathlib import Path

import pytest

from tests.helpers import record_factory as factory
from tests.helpers.reports import report_on


def test_total_speedup_is_the_product_of_its_chain(tmp_path: Path) -> None:
    """A pruned cell's total is its speed-up times that of its dense reference, bounds multiplied."""
    content = factory.make_content()
    report = report_on(content, tmp_path)
    cell = ("latency", "resnet18-digits-magnitude-0.5-openvino-fp32-cpu-b32")
    own = factory.find(content, cell)
    dense = factory.find(content, ("latency", own["reference"]))
    (found,) = [c for c in report.cells() if (c["suite"], c["cell"]) == cell]
    for name in ("speedup", "speedup_low", "speedup_high"):
        assert found[f"total_{name}"] == pytest.approx(own[name] * dense[name])
    (control,) = [c for c in report.cells() if c["cell"] == "resnet18-digits-dense-eager-fp32-cpu-b32"]
    assert control["total_speedup"] == 1.0


def test_total_speedup_needs_its_whole_chain(tmp_path: Path) -> None:
    """Without the reference's record, or where references run in a circle, there is no total."""
    content = factory.make_content()
    dense = ("latency", "resnet18-digits-dense-openvino-fp32-cpu-b32")
    factory.find(content, dense)["reference"] = "resnet18-digits-magnitude-0.5-openvino-fp32-cpu-b32"
    factory.remove(content, ("latency", "resnet18-digits-dense-onnxruntime-fp32-cpu-b32"))
    totals = {
        c["cell"]: c["total_speedup"] for c in report_on(content, tmp_path).cells() if c["suite"] == "latency"
    }
    assert totals["resnet18-digits-magnitude-0.5-openvino-fp32-cpu-b32"] is None
    assert totals["resnet18-digits-magnitude-0.5-onnxruntime-fp32-cpu-b32"] is None
    assert totals["resnet18-digits-magnitude-0.5-eager-fp32-cpu-b32"] is not None


def test_coverage_of_a_total_is_stated(tmp_path: Path) -> None:
    """The note under the backends names the coverage that a product of two intervals has at least."""
    content = factory.make_content()
    (table,) = [t for t in report_on(content, tmp_path).tables if t.title.startswith("backends")]
    reached = min(r["confidence"] for r in factory.records_of(content, "latency"))
    assert f"at least {1 - 2 * (1 - reached):.1%}" in " ".join(table.notes)


def test_impossible_chain_has_no_total(tmp_path: Path) -> None:
    """A product beyond all numbers, as a damaged file may give, is absent instead of infinite."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",), suites=("latency",))
    (dense, *_) = [e for e in content["benchmarks"] if e["extra_info"]["is_control"]]
    last = dense["extra_info"]["cell"]
    for number in range(60):
        entry = json.loads(json.dumps(dense))
        entry["extra_info"].update(cell=f"link{number}", reference=last, is_control=False)
        factory.set_rounds(entry["extra_info"], [-math.log(1e9)] * 10)
        last = f"link{number}"
        content["benchmarks"].append(entry)
    totals = [c["total_speedup"] for c in report_on(content, tmp_path).cells()]
    assert totals[-1] is None
    assert all(t is None or math.isfinite(float(str(t))) for t in totals)
