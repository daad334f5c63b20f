"""Check the arithmetic that training rests on, in a process of its own: a crash is then one failed test.

    python convolution_arithmetic.py convolutions 2 --precision auto
    python convolution_arithmetic.py step 2

`convolutions`: forward and both gradients of random convolutions of the shapes that pruning makes, in the
memory format that training chooses, against float64. `step`: all gradients of a whole training step of a
pruned ResNet-18. Prints a line for what is wrong, and what it was at to standard error; at last "checked N".
`--memory-format channels_last` overrides the choice: it shows that the check can fail.
"""

import argparse
import copy
import random
import sys

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning_core.config.spec import MethodSpec, TrainSpec
from pruning_core.models import build_model
from pruning_core.pruning.step import prune
from pruning_core.system.hardware import training_memory_format
from pruning_core.training.device import resolve_precision

TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2}
"""Largest error, relative to the largest entry; bfloat16 keeps eight bits."""

FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


def random_convolution(rng: random.Random) -> tuple[nn.Conv2d, tuple[int, int, int, int]]:
    """Draw a layer as pruning leaves them (1 to 70 inputs, any width), and the shape of its images."""
    kernel, stride = rng.choice([1, 1, 1, 3, 7]), rng.choice([1, 2, 2])
    kind = rng.choice(["plain", "plain", "plain", "grouped", "depthwise"])
    groups = 1 if kind == "plain" else rng.choice([2, 4])
    if kind == "depthwise":
        inputs = outputs = groups = rng.randint(1, 70)
    else:
        inputs = groups * rng.randint(1, 70 // groups)
        outputs = groups * rng.randint(1, 140 // groups)
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    size = rng.choice([4, 8, 16, 32])
    return layer, (rng.choice([1, 8, 32]), inputs, size, size)


def errors_of(layer: nn.Conv2d, shape: tuple[int, ...], memory_format: torch.memory_format, precision: str):
    """Return the error of outputs and of both gradients against float64, relative to the largest entry."""
    layer = layer.to(memory_format=memory_format)
    images = torch.randn(shape).contiguous(memory_format=memory_format).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        outputs = layer(images)
    upstream = torch.randn_like(outputs)
    outputs.backward(upstream)
    rounded = torch.bfloat16 if precision == "bf16" else torch.float32
    weight = layer.weight.detach().to(rounded).double().contiguous().requires_grad_()
    exact_images = images.detach().to(rounded).double().contiguous().requires_grad_()
    with torch.backends.mkldnn.flags(enabled=False):
        exact = F.conv2d(
            exact_images, weight, stride=layer.stride, padding=layer.padding, groups=layer.groups
        )
        exact.backward(upstream.double().contiguous())
    pairs = {
        "outputs": (outputs, exact),
        "weight gradient": (layer.weight.grad, weight.grad),
        "input gradient": (images.grad, exact_images.grad),
    }
    return {name: relative_error(found, right) for name, (found, right) in pairs.items()}


def relative_error(found: Tensor | None, right: Tensor | None) -> float:
    """Return the largest difference, relative to the largest entry that is right."""
    assert found is not None
    assert right is not None
    return ((found.double() - right).abs().max() / right.abs().max().clamp_min(1e-30)).item()


def check_convolutions(memory_format: torch.memory_format, precision: str, count: int) -> None:
    """Check random convolutions one after the other; print each that is wrong."""
    rng = random.Random(7)
    for number in range(count):
        layer, shape = random_convolution(rng)
        print(f"at {number}: {layer}, images {shape}", file=sys.stderr, flush=True)
        for name, error in errors_of(layer, shape, memory_format, precision).items():
            if not error < TOLERANCE[precision]:
                print(f"{name} wrong by {error:.1%}: {layer}, images {shape}", flush=True)
    print(f"checked {count}")


def check_step(memory_format: torch.memory_format) -> None:
    """Check each gradient of one step of ResNet-18 at 0.9, batch 32, in float32."""
    dense = build_model("resnet18", 10, (3, 32, 32))
    network = copy.deepcopy(dense)
    prune(network, dense, MethodSpec(), 0.9, torch.zeros(1, 3, 32, 32), seed=0)
    exact = copy.deepcopy(network).double().train()
    network = network.train().to(memory_format=memory_format)
    images, labels = torch.randn(32, 3, 32, 32), torch.arange(32) % 10
    F.cross_entropy(network(images.contiguous(memory_format=memory_format)), labels).backward()
    with torch.backends.mkldnn.flags(enabled=False):
        F.cross_entropy(exact(images.double()), labels).backward()
    right = dict(exact.named_parameters())
    for name, parameter in network.named_parameters():
        error = relative_error(parameter.grad, right[name].grad)
        if not error < 1e-3:  # rounding adds up over eighteen layers and their norms
            print(f"gradient of {name} wrong by {error:.1%}", flush=True)
    print(f"checked {len(right)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["convolutions", "step"])
    parser.add_argument("threads", type=int)
    parser.add_argument("--precision", choices=["fp32", "auto"], default="fp32")
    parser.add_argument("--memory-format", choices=FORMATS)
    parser.add_argument("--count", type=int, default=150)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    chosen = FORMATS[options.memory_format] if options.memory_format else training_memory_format("cpu")
    if options.what == "step":
        check_step(chosen)
    else:
        asked = resolve_precision(TrainSpec(precision=options.precision), torch.device("cpu"))
        check_convolutions(chosen, asked, options.count)
