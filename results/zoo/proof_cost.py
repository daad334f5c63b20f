"""What trial and proof of a cut cost: resnet50 at 224, torch-pruning alone against ours, A B B A.

python results/zoo/proof_cost.py 10
"""

import sys
import time
import warnings
from collections.abc import Callable
from statistics import geometric_mean, median

import torch

from pruning_core.config.spec import MethodSpec
from pruning_core.models.copying import copy_network
from pruning_core.pruning import trial
from pruning_core.pruning.step import prune
from pruning_core.torchvision_compat import models
from pruning_core.torchvision_compat import torch_pruning as tp

RATIO, THREADS = 0.5, 2

warnings.simplefilter("ignore")
torch.set_num_threads(THREADS)
DENSE, EXAMPLE = models.resnet50(), torch.zeros(1, 3, 224, 224)
proof_s = 0.0
prove_cut = trial.prove_cut


def prove_and_time(*given: object) -> object:
    """Prove a cut, and add what it takes to `proof_s`."""
    global proof_s
    started = time.perf_counter()
    proof = prove_cut(*given)
    proof_s += time.perf_counter() - started
    return proof


trial.prove_cut = prove_and_time


def cut_by_torch_pruning() -> float:
    """Return the seconds in which torch-pruning traces, ranks and cuts."""
    network = copy_network(DENSE).eval()
    started = time.perf_counter()
    tp.pruner.BasePruner(
        network,
        EXAMPLE,
        importance=tp.importance.MagnitudeImportance(p=2),
        pruning_ratio=RATIO,
        round_to=2,
        ignored_layers=[network.fc],
        in_channel_groups={},  # its defaults are shared between pruners
        out_channel_groups={},
        num_heads={},
        channel_groups={},
    ).step()
    return time.perf_counter() - started


def cut_by_us() -> float:
    """Return the seconds in which we find the groups, cut and prove."""
    network = copy_network(DENSE)
    started = time.perf_counter()
    prune(network, DENSE, MethodSpec(schedule="one-shot"), RATIO, EXAMPLE, 0)
    return time.perf_counter() - started


def main(pairs: int) -> None:
    """Print medians and ranges over A B B A pairs."""
    global proof_s
    rows = []
    for number in range(pairs + 1):
        first, proof_s = cut_by_torch_pruning(), 0.0
        ours = geometric_mean([cut_by_us(), cut_by_us()])
        proof = proof_s / 2
        if number:  # the first one warms up
            rows.append((geometric_mean([first, cut_by_torch_pruning()]), ours, proof))
    told: dict[str, Callable[[tuple[float, float, float]], float]] = {
        "torch-pruning alone, s": lambda row: row[0],
        "ours, s": lambda row: row[1],
        "of it proof, s": lambda row: row[2],
        "ours / torch-pruning": lambda row: row[1] / row[0],
        "proof / torch-pruning": lambda row: row[2] / row[0],
    }
    for name, of in told.items():
        values = sorted(of(row) for row in rows)
        print(f"{name}: median {median(values):.3f}, range {values[0]:.3f} to {values[-1]:.3f}, n {pairs}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 10)
