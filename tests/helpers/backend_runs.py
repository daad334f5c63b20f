"""Runs whose backends differ in their undisturbed calls.

Not for: the runs themselves (`record_factory.py`), or changes of single cells (`gate_changes.py`).
"""

import math
import random
from typing import Any

from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import Change, Content

OPENVINO = ("backend", "openvino-fp32-cpu")
ONNX = ("backend", "onnxruntime-fp32-cpu")
BACKENDS = ("eager:fp32", "onnxruntime:fp32", "openvino:fp32")


def run(seed: int = 0, *, spread: float = 0.012, **options: Any) -> Content:
    """Make a run with 8 cells on each of three backends; every one's p05 is off by chance."""
    shape: dict[str, Any] = {"backends": BACKENDS, **options}
    content = factory.make_content(seed=seed, **shape)
    source = random.Random(1000 + seed)
    for record in factory.records_of(content, "latency"):
        record["latency_p05_ms"] = record["batch_size"] * math.exp(source.gauss(0, spread))
    return content


def slowed(factor: float, backend: str = "openvino") -> Change:
    """Return a change that makes the undisturbed calls of a backend slower."""

    def change(content: Content) -> None:
        for record in factory.records_of(content, "latency"):
            if record["backend"] == backend:
                record["latency_p05_ms"] *= factor

    return change


def scattered(backend: str, seed: int, spread: float) -> Change:
    """Return a change that scatters the undisturbed calls of a backend."""

    def change(content: Content) -> None:
        source = random.Random(seed)
        for record in factory.records_of(content, "latency"):
            if record["backend"] == backend:
                record["latency_p05_ms"] *= math.exp(source.gauss(0, spread))

    return change
