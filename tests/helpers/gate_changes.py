"""Small runs for the gate's tests, and changes to them.

Not for: the runs themselves (`record_factory.py`).
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.gate.result import CellVerdict, GateResult
from pruning_core.stats.intervals import wilson_interval
from tests.helpers import record_factory as factory

Content = dict[str, Any]
Change = Callable[[Content], object]

CellKey = tuple[str, str]

COST = ("cost", "resnet18-digits-magnitude-0.5")
ACC = ("accuracy", "resnet18-digits-magnitude-0.5-onnxruntime-fp32-cpu")
LAT = ("latency", "resnet18-digits-magnitude-0.5-onnxruntime-fp32-cpu-b32")
DENSE_LAT = ("latency", "resnet18-digits-dense-onnxruntime-fp32-cpu-b32")
CONTROL = ("latency", "resnet18-digits-dense-eager-fp32-cpu-b32")


SMALL_SHAPE: dict[str, Any] = {
    "ratios": (0.5,),
    "backends": ("eager:fp32", "onnxruntime:fp32"),
    "batch_sizes": (32,),
}
"""Of a small run."""


def small_run(seed: int = 0, **options: Any) -> Content:
    """Make a run of one ratio, two backends and one batch size: ten cells."""
    return factory.make_content(seed=seed, **{**SMALL_SHAPE, **options})


def setting(identity: CellKey, /, **fields: Any) -> Change:
    """Return a change that gives a cell's record other values."""
    return lambda content: factory.find(content, identity).update(fields)


def without_field(identity: CellKey, field: str) -> Change:
    """Return a change that takes a field out of a cell's record."""
    return lambda content: factory.find(content, identity).pop(field)


def without_cell(identity: CellKey) -> Change:
    """Return a change that takes a cell out."""
    return lambda content: factory.remove(content, identity)


def correct(count: int) -> Change:
    """Return a change of the number of correct predictions in `ACC`."""
    return lambda content: factory.set_right(factory.find(content, ACC), count)


def of_images(count: int) -> Change:
    """Return a change of how many images `ACC` was tested on, seven of eight correct."""

    def change(content: Content) -> None:
        record = factory.find(content, ACC)
        low, high = wilson_interval(count * 7 // 8, count)
        record.update(accuracy=(count * 7 // 8) / count, accuracy_n=count)
        record.update(accuracy_low=low, accuracy_high=high)
        del record["correct_bits"]

    return change


def retrained(content: Content) -> None:
    """Say that the checkpoint of `ACC` was retrained: its key is another one."""
    factory.find(content, ACC).update(key="e" * 32)


def slower(factor: float, identity: CellKey = LAT) -> Change:
    """Return a change that makes a cell slower."""
    return lambda content: factory.slow_down(factory.find(content, identity), factor)


def all_latencies(**fields: Any) -> Change:
    """Return a change of every latency record."""
    return lambda content: [r.update(fields) for r in factory.records_of(content, "latency")]


def all_of(*changes: Change) -> Change:
    """Return a change that makes several."""
    return lambda content: [change(content) for change in changes]


def all_of_suite(suite: str, first: int | None = None) -> Change:
    """Return a change that says of the first entries that they belong to another suite."""
    return lambda content: [e["extra_info"].update(suite=suite) for e in content["benchmarks"][:first]]


def noisy(content: Content) -> None:
    """Scatter the rounds of one cell by 20 %."""
    record = factory.find(content, LAT)
    centre = -math.log(record["speedup"])
    spread = [centre + 0.4 * (i / (record["rounds"] - 1) - 0.5) for i in range(record["rounds"])]
    factory.set_rounds(record, spread)


def no_machine(content: Content) -> None:
    """Take out what names the machine."""
    content["machine_info"]["pruning_bench"].pop("fingerprint")


def other_machine(content: Content) -> None:
    """Move the run to another CPU."""
    content["machine_info"]["pruning_bench"].update(fingerprint="other", cpu_model="Xeon of box-b")


def other_threads(content: Content) -> None:
    """Give PyTorch another number of threads."""
    content["machine_info"]["pruning_bench"].update(fingerprint="other", threads=2)


def unchanged(content: Content) -> None:
    """Leave the run as it is."""


def judge(folder: Path, new: Content, baseline: Content, policy: Policy | None = None) -> GateResult:
    """Write both runs, read them back and compare them."""
    runs = [factory.as_run(c, folder, f"{name}.json") for c, name in ((baseline, "baseline"), (new, "new"))]
    return compare(*runs, policy or Policy())


def cell_of(result: GateResult, identity: tuple[str, str]) -> CellVerdict:
    """Return what the gate says of a cell."""
    (found,) = [cell for cell in result.cells if (cell.suite, cell.cell) == identity]
    return found
