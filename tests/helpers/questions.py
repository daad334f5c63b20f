"""Questions of `recommend` with known answers, and their files. Not for: the cells (`made_up_choices.py`)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers import record_factory as factory
from tests.helpers.made_up_choices import DENSE, Choice, content_of
from tests.helpers.made_up_scores import ERROR, IOU

HALF = Choice(0.5, "openvino:fp32", 5.0)
FAST = Choice(0.75, "openvino:fp32", 3.0)
NAMES = {
    "dense": "dense, eager fp32",
    "half": "magnitude 0.50, openvino fp32",
    "fast": "magnitude 0.75, openvino fp32",
    "int8": "magnitude 0.75, openvino int8",
}


def changed(choice: Choice, **changes: Any) -> Choice:
    """Return a cell with something else about it."""
    return Choice(**{**choice.__dict__, **changes})


@dataclass(frozen=True)
class Asked:
    """Cells, limits, and the known answer; names are keys of `NAMES`, or titles."""

    cells: tuple[Choice, ...]
    limits: dict[str, float]
    best: str | None
    sure: bool = True
    second: str | None = None
    tie: bool = False
    faster: str | None = None  # but not sure
    closest: tuple[str, ...] = ()  # the cell, and on what it fails
    reasons: dict[str, str] = field(default_factory=dict)
    later: tuple[Choice, ...] = ()  # a second file of the same machine
    shape: dict[str, Any] = field(default_factory=dict)


DROP = {"max_drop": 0.005}
INT8 = Choice(0.75, "openvino:int8", 2.0)
QUESTIONS = {
    "the fastest that surely keeps the limit": Asked(
        (HALF, changed(FAST, lost=2)), DROP, "fast", second="half", reasons={"half": "slower"}
    ),
    "what loses too much falls out": Asked(
        (HALF, changed(FAST, lost=40)), DROP, "half", second="dense", reasons={"fast": "drop"}
    ),
    "a sure cell before one that is not": Asked(
        (HALF, changed(FAST, lost=8)),
        DROP,
        "half",
        second="dense",
        faster="fast",
        reasons={"fast": "less sure", "dense": "slower"},
    ),
    "none is sure but the dense model, which is slower": Asked(
        (changed(HALF, lost=8), changed(FAST, lost=9)), DROP, "fast", sure=False, second="half"
    ),
    "one that is not sure, and slower than dense": Asked(
        (changed(HALF, lost=8, ms=12.0),), DROP, "dense", second="half", reasons={"half": "less sure"}
    ),
    "pruned cells are slower than dense": Asked(
        (changed(HALF, ms=11.0), changed(FAST, ms=13.0)), DROP, "dense", second="half"
    ),
    "nothing keeps the drop": Asked(
        (changed(HALF, lost=30), changed(FAST, lost=20)),
        {"max_drop": -0.001},
        None,
        closest=("dense", "drop"),
        reasons={"half": "drop", "dense": "drop"},
    ),
    "nothing keeps the latency": Asked(
        (HALF, FAST), {**DROP, "max_latency_ms": 2.9}, None, closest=("fast", "latency")
    ),
    "beyond one limit is closer than beyond two": Asked(
        (changed(HALF, lost=11), changed(FAST, lost=200)),
        {**DROP, "max_latency_ms": 2.5},
        None,
        closest=("dense", "latency"),
    ),
    "near one limit is closer than far from another": Asked(
        (changed(HALF, lost=11, ms=2.0), FAST),
        {**DROP, "max_latency_ms": 2.5},
        None,
        closest=("half", "drop"),
    ),
    "a tie": Asked(
        (changed(HALF, ms=3.05), changed(FAST, spread=0.03)), DROP, "half", second="fast", tie=True
    ),
    "no tie where the intervals end before each other": Asked(
        (changed(HALF, ms=3.1), FAST), DROP, "fast", second="half"
    ),
    "of equal times the better score": Asked(
        (changed(HALF, ms=3.0), changed(FAST, gained=2)), DROP, "fast", second="half", tie=True
    ),
    "a contaminated cell is not preferred": Asked(
        (HALF, changed(FAST, more={"contaminated": True})),
        DROP,
        "half",
        second="dense",
        reasons={"fast": "contaminated"},
    ),
    "all are contaminated": Asked(
        (
            Choice(0.0, "eager:fp32", 10.0, more={"contaminated": True}),
            changed(FAST, more={"contaminated": True}),
        ),
        DROP,
        None,
        closest=("fast", "contaminated"),
        reasons={"fast": "contaminated", "dense": "contaminated"},
    ),
    "a failed cell falls out": Asked(
        (HALF, changed(FAST, more={"status": "failed", "failure": "below the floor"})),
        DROP,
        "half",
        second="dense",
        reasons={"fast": "failed"},
    ),
    "a latency whose bound crosses comes after one whose bound does not": Asked(
        (HALF, changed(FAST, spread=0.2), INT8),
        {**DROP, "max_latency_ms": 3.5},
        "int8",
        second="fast",
        reasons={"fast": "less sure", "half": "latency"},
    ),
    "the only one within is not sure": Asked(
        (HALF, changed(FAST, spread=0.2)), {**DROP, "max_latency_ms": 3.5}, "fast", sure=False
    ),
    "an exported int8 file is to be weighed": Asked(
        (FAST, INT8), {**DROP, "max_size_mb": 2.0}, "int8", sure=False, reasons={"fast": "size"}
    ),
    "an accuracy whose bound crosses": Asked(
        (HALF, FAST), {"min_accuracy": 0.89}, "fast", sure=False, second="half"
    ),
    "an accuracy whose bound does not": Asked((HALF, FAST), {"min_accuracy": 0.88}, "fast", second="half"),
    "what int8 loses counts, not pruning alone": Asked(
        (HALF, Choice(0.0, "openvino:int8", 4.0, lost=40), INT8),
        {**DROP, "max_latency_ms": 4.5},
        "int8",
        reasons={"dense, openvino int8": "drop"},
    ),
    "the dense model on eager counts, wherever it stands": Asked(
        (Choice(0.0, "openvino:int8", 4.0, lost=40), DENSE, HALF, changed(FAST, lost=30)),
        DROP,
        "half",
        reasons={"fast": "drop", "dense, openvino int8": "drop"},
    ),
    "the later time of a cell counts": Asked(
        (HALF, FAST), DROP, "half", second="fast", later=(changed(FAST, ms=7.0), HALF)
    ),
    "another seed of the same cell is not the next best": Asked(
        (DENSE, changed(DENSE, more={"seed": 1}), FAST, changed(FAST, ms=3.3, more={"seed": 1}), HALF),
        DROP,
        "magnitude 0.75, openvino fp32, seed 0",
        second="magnitude 0.50, openvino fp32, seed 0",
        reasons={"magnitude 0.75, openvino fp32, seed 1": "another seed"},
    ),
    "no limit at all": Asked((HALF, changed(FAST, lost=1000)), {"max_drop": 1.0}, "fast", second="half"),
    "a score of which lower is better": Asked(
        (HALF, changed(FAST, lost=100)),
        {"max_score": 0.43},
        "half",
        second="dense",
        reasons={"fast": "score"},
        shape={"task": ERROR},
    ),
    "a score of which higher is better, by its bound": Asked(
        (HALF, changed(FAST, lost=40)),
        {"min_score": 0.62},
        "half",
        second="dense",
        faster="fast",
        shape={"task": IOU},
    ),
    "a score without intervals is never sure": Asked(
        (HALF, changed(FAST, lost=20)),
        {"max_drop": 0.02},
        "fast",
        sure=False,
        second="half",
        shape={"task": IOU, "bounded": False},
    ),
}


def files_of(asked: Asked, folder: Path) -> list[Path]:
    """Write the files of a question."""
    paths = [factory.write(content_of(*asked.cells, **asked.shape), folder / "a.json")]
    if asked.later:
        paths.append(factory.write(content_of(*asked.later, **asked.shape), folder / "b.json"))
    return paths
