"""Do the nodes of each runtime's profile add up to the call? Dense and pruned by half, batch 1.

    python results/explain/nodes.py [NETWORK …]

Writes `nodes.csv`. Start it on a machine that does nothing else; it takes some minutes.
"""

import csv
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent.parent))

import torch  # noqa: E402

from pruning_core.config.spec import MethodSpec  # noqa: E402
from pruning_core.errors import PruningBenchError  # noqa: E402
from pruning_core.explain.fixed_cost import measure_fixed_cost, without_overhead  # noqa: E402
from pruning_core.explain.profile import profile_in_rounds  # noqa: E402
from pruning_core.explain.profilers import open_profiler  # noqa: E402
from pruning_core.models import build_model  # noqa: E402
from pruning_core.shapes.norms import with_new_statistics  # noqa: E402
from pruning_core.shapes.pruned import PrunedShapes  # noqa: E402
from pruning_core.shapes.timing import Setting  # noqa: E402
from pruning_core.system.hardware import resolve_threads, torch_threads  # noqa: E402
from pruning_core.system.machine import describe_machine  # noqa: E402
from pruning_core.system.thread_idle import wait_until_idle  # noqa: E402

NETWORKS = {
    "resnet18": (10, 32),
    "torchvision:mobilenet_v2": (1000, 224),
    "torchvision:vit_b_32": (1000, 224),
}
"""Name → classes, and pixels of an image, height and width."""

SETTINGS = (
    *(Setting("eager"), Setting("onnxruntime"), Setting("onnxruntime", "int8")),
    *(Setting("openvino"), Setting("openvino", "int8")),
)
COLUMNS = ("network", "setting", "rounds", "dense_ms", "dense", "pruned_ms", "pruned", "error")


def main() -> None:
    """Profile each network in each setting, and write a row as soon as it is known."""
    print(describe_machine(0))
    with (FOLDER / "nodes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for network in sys.argv[1:] or NETWORKS:
            for setting in SETTINGS:
                row = {"network": network, "setting": setting.label, **fractions(network, setting)}
                writer.writerow(row)
                file.flush()
                print(
                    " ".join(
                        f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()
                    )
                )


def fractions(name: str, setting: Setting) -> dict[str, object]:
    """Return what the nodes add up to, as fractions of the call, and how long that takes."""
    classes, pixels = NETWORKS[name]
    dense = build_model(name, classes, (3, pixels, pixels)).eval()
    shapes = PrunedShapes(dense, MethodSpec(), torch.zeros(1, 3, pixels, pixels))
    networks = {"dense": shapes.dense, "pruned": shapes.network(0.5)[0].eval()}
    with torch_threads(resolve_threads(setting.threads)):
        try:
            cost = measure_fixed_cost(setting, wait_until_idle)
            profilers = {
                key: open_profiler(with_new_statistics(network, shapes.example), shapes.example, setting)
                for key, network in networks.items()
            }
        except PruningBenchError as error:
            return {"error": str(error)}
        profiles = profile_in_rounds(profilers, wait_until_idle=wait_until_idle)
    found: dict[str, object] = {"rounds": len(profiles["dense"].rounds)}
    for key, profile in profiles.items():
        found |= {f"{key}_ms": profile.whole_ms, key: without_overhead(profile, cost).covered}
    return found


if __name__ == "__main__":
    main()
