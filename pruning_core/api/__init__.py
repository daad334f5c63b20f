"""pruning-bench from Python: prune a network, compare two, load one that is stored.

    from pruning_core.api import compare, load, prune

    pruned = prune(network, images, 0.5)              # a narrower copy, each cut proved
    print(pruned)
    print(compare(network, pruned.network, images))   # in pairs, with an interval and an A/A control
    network = load("my-store", "3f6a2c")              # by key, verified

Each function says what is wrong in one line, as a `PruningBenchError`. Nothing heavy is imported before one
is called. In a test suite of yours the fixture `paired` (`paired_fixture.py`) asserts a speed-up:

    def test_pruned_is_faster(paired):
        paired(network, pruned, images).assert_faster(at_least=1.5)

More: `api/README.md`.
"""

from pruning_core.api.comparing import compare
from pruning_core.api.comparison import Comparison
from pruning_core.api.loading import load
from pruning_core.api.pruning import Pruned, prune
from pruning_core.errors import PruningBenchError as PruningBenchError

__all__ = ["Comparison", "Pruned", "compare", "load", "prune"]
