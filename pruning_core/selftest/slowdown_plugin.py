"""A pytest plugin that makes a backend slower by real work: `-p pruning_core.selftest.slowdown_plugin`.

The environment says what is slowed: with `PRUNING_BENCH_SLOWDOWN="openvino=0.10"` each timed call of that
backend is followed by arithmetic for a tenth of its time; `*` instead of a name slows every backend. Without
the variable nothing changes, so that runs with and without a slow-down are otherwise alike.
"""

import os
from collections.abc import Callable

from torch import Tensor

from pruning_core.config.cells import Cell
from pruning_core.selftest.latency_trials import with_extra_work
from pruning_core.suites.model_cache import LoadedModel, ModelCache

VARIABLE = "PRUNING_BENCH_SLOWDOWN"
EVERY_BACKEND = "*"


def pytest_configure() -> None:
    """Slow down what the environment names, before anything is loaded."""
    asked = os.environ.get(VARIABLE, "")
    if asked:
        backend, _, slowdown = asked.partition("=")
        slow_down(backend, float(slowdown))


def slow_down(backend: str, slowdown: float) -> None:
    """Let whatever is loaded on a backend from here on do more work in each timed call.

    Args:
        backend: A name in BACKENDS, or `*` for every one.
        slowdown: The work, as a fraction of the call's own time.
    """
    load = ModelCache.load_copy

    def load_slower(models: ModelCache, cell: Cell) -> LoadedModel:
        loaded = load(models, cell)
        if backend in (cell.backend, EVERY_BACKEND):
            bind = loaded.executable.bind

            def bind_slower(images: Tensor) -> Callable[[], object]:
                return with_extra_work(bind(images), slowdown)

            loaded.executable.bind = bind_slower  # type: ignore[method-assign,assignment]  # the slow-down
        return loaded

    ModelCache.load_copy = load_slower  # type: ignore[method-assign,assignment]  # likewise
