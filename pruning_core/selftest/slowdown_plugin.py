"""A pytest plugin that makes a backend slower by real work: `-p pruning_core.selftest.planting`.

What to plant stands in the environment, `PRUNING_BENCH_PLANT="openvino=0.10"`: each call of that backend is
followed by arithmetic for a tenth of its time; `*=0.30` plants in all of them. Without the variable nothing
changes, so that runs with and without a plant are otherwise alike.
"""

import os
from collections.abc import Callable

from torch import Tensor

from pruning_core.config.cells import Cell
from pruning_core.selftest.latency_trials import with_extra_work
from pruning_core.suites.model_cache import LoadedModel, ModelCache

VARIABLE = "PRUNING_BENCH_PLANT"
EVERY_BACKEND = "*"


def pytest_configure() -> None:
    """Plant what the environment asks for, before anything is loaded."""
    plant = os.environ.get(VARIABLE, "")
    if plant:
        backend, _, extra = plant.partition("=")
        slow_down(backend, float(extra))


def slow_down(backend: str, extra: float) -> None:
    """Let whatever is loaded on a backend from here on do more work in each timed call.

    Args:
        backend: A name in BACKENDS, or `*` for every one.
        extra: The work, as a fraction of the call's own time.
    """
    load = ModelCache.load_copy

    def load_slower(models: ModelCache, cell: Cell) -> LoadedModel:
        loaded = load(models, cell)
        if backend in (cell.backend, EVERY_BACKEND):
            bind = loaded.executable.bind

            def bind_slower(images: Tensor) -> Callable[[], object]:
                return with_extra_work(bind(images), extra)

            loaded.executable.bind = bind_slower  # type: ignore[method-assign,assignment]  # the plant
        return loaded

    ModelCache.load_copy = load_slower  # type: ignore[method-assign,assignment]  # likewise
