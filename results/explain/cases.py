"""Six networks that are slow for a known reason, and the same ones mended: what `explain` says of them.

    python results/explain/cases.py [CASE …] [--rounds N] [-o FILE.json]

Run it on a quiet machine. It prints, for each case, the reason of the layer in question, the test behind it,
and whether it is the one that was built in.
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec
from pruning_core.explain.explanation import explain
from pruning_core.explain.profile import ROUNDS
from pruning_core.explain.reasons import CONVERSION, FINE, LAUNCH, MEMORY, MISALIGNED, WHOLE
from pruning_core.explain.subject import Explained
from pruning_core.models.copying import copy_network
from pruning_core.pruning.step import prune
from pruning_core.shapes.timing import Setting

ANY_WIDTH = MethodSpec(round_to=1, schedule="one-shot")


@dataclass(frozen=True)
class Case:
    """A network, how it is pruned and run, and what is to be said of one of its layers."""

    build: Callable[[], nn.Module]
    image: tuple[int, int, int]
    layer: str
    expected: str
    setting: Setting
    ratio: float = 0.5
    method: MethodSpec = ANY_WIDTH


class Permuted(nn.Module):
    """Lays images out again, twice: what stands between two layers that disagree on a layout."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x, copied to another order of its dimensions and back."""
        return x.permute(0, 2, 3, 1).contiguous().flip(1).permute(0, 3, 1, 2).contiguous()


def stack(*layers: nn.Module, width: int, classes: int = 10) -> nn.Module:
    """Return layers with a pooled linear head."""
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
    return nn.Sequential(*layers, *head)


def conv(inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> list[nn.Module]:
    """Return a convolution with its norm and activation."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def middle(width: int) -> Callable[[], nn.Module]:
    """Return what builds three equal convolutions behind a stem."""
    return lambda: stack(
        *conv(16, width), *conv(width, width), *conv(width, width), *conv(width, width), width=width
    )


def stem(channels: int, kernel: int, pool: int) -> Callable[[], nn.Module]:
    """Return what builds a layer on the image itself, and a network behind it that does most of the work."""
    return lambda: stack(
        *conv(channels, 128, kernel), nn.MaxPool2d(pool), *conv(128, 256), *conv(256, 256), width=256
    )


def tiny() -> nn.Module:
    """Return a network that computes next to nothing."""
    return stack(*conv(8, 64), *conv(64, 64), *conv(64, 64), width=64)


def separable(groups: int) -> Callable[[], nn.Module]:
    """Return what builds a depthwise layer, or a dense one, between pointwise layers."""
    return lambda: stack(
        *conv(16, 64, 1), *conv(64, 64, 3, groups), *conv(64, 128, 1), *conv(128, 128, 1), width=128
    )


def converted(between: bool) -> Callable[[], nn.Module]:
    """Return what builds two layers, with a change of layout between them or without."""
    return lambda: stack(
        *conv(16, 64), *([Permuted()] if between else []), *conv(64, 64, 1), *conv(64, 64), width=64
    )


def protecting(*layers: str) -> MethodSpec:
    """Return a method that leaves some layers whole."""
    return ANY_WIDTH.model_copy(update={"protect": layers})


INT8 = Setting("openvino", "int8", 8, threads=1)
FP32 = Setting("openvino", "fp32", 8, threads=1)
EAGER = Setting("eager", "fp32", 1, threads=1)
LARGE = Setting("onnxruntime", "fp32", 1, threads=1)

CASES: dict[str, tuple[Case, Case]] = {
    "width 31 against 32": (
        Case(middle(62), (16, 32, 32), "3", MISALIGNED, INT8),
        Case(middle(64), (16, 32, 32), "3", FINE, INT8),
    ),
    "3 channels at large resolution": (
        Case(stem(3, 1, 8), (3, 256, 256), "0", MEMORY, LARGE),
        Case(stem(48, 3, 2), (48, 64, 64), "0", FINE, LARGE),
    ),
    "tiny network at batch 1": (
        Case(tiny, (8, 4, 4), "3", LAUNCH, EAGER),
        Case(tiny, (8, 4, 4), "3", FINE, Setting("eager", "fp32", 512, threads=1)),
    ),
    "a skipped group": (
        Case(middle(64), (16, 32, 32), "3", WHOLE, FP32, method=protecting("3")),
        Case(middle(64), (16, 32, 32), "3", FINE, FP32),
    ),
    "depthwise on int8": (
        Case(separable(64), (16, 64, 64), "3", MEMORY, INT8),
        Case(separable(1), (16, 64, 64), "3", FINE, INT8),
    ),
    "a layout conversion between two layers": (
        Case(converted(True), (16, 64, 64), "4", CONVERSION, FP32),
        Case(converted(False), (16, 64, 64), "3", FINE, FP32),
    ),
}
"""What is wrong → the network that has it, and the same network mended."""


@contextmanager
def silent(_: str):
    """Show nothing."""
    yield lambda done, planned: None


def run(case: Case, rounds: int) -> dict:
    """Explain a case, and return what was said of its layer beside all else."""
    torch.manual_seed(0)
    dense = case.build().eval()
    example = torch.zeros(1, *case.image)
    network = copy_network(dense)
    plan = prune(network, dense, case.method, case.ratio, example, seed=0)
    explained = Explained("case", case.method, case.ratio, dense, network.eval(), plan, example)
    content = explain(explained, case.setting, silent, rounds)
    (layer,) = [
        layer for group in content["groups"] for layer in group["layers"] if layer["layer"] == case.layer
    ]
    return {"expected": case.expected, "found": layer["reason"], "layer": layer, "explanation": content}


def described(name: str, found: dict) -> str:
    """Say in three lines what was found of a case."""
    layer, saved = found["layer"], found["layer"]["saved_quotient"]
    mark = "ok " if found["found"] == found["expected"] else "NOT"
    return (
        f"{mark} {name}: {found['found'] or 'unexplained'!r} (expected {found['expected']!r})\n"
        f"    {layer['dense']}→{layer['kept']}, {layer['dense_ms']:.4f} → {layer['ms']:.4f} ms, "
        f"saved {'–' if saved is None else f'{saved:.2f}'}, {100 * layer['time_share']:.0f} % of the time, "
        f"{100 * layer['mac_share']:.0f} % of the MACs\n"
        f"    {layer['evidence']}; covered {found['explanation']['covered']['pruned']:.2f}"
    )


def main() -> int:
    """Run the cases that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help="beginnings of names")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    results, wrong = {}, 0
    for name, pair in CASES.items():
        if options.cases and not any(name.startswith(begin) for begin in options.cases):
            continue
        for which, case in zip(("built in", "mended"), pair, strict=True):
            found = run(case, options.rounds)
            results[f"{name}, {which}"] = found
            wrong += found["found"] != found["expected"]
            print(described(f"{name}, {which}", found), flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1))
    print(f"{len(results) - wrong} of {len(results)} as built")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
