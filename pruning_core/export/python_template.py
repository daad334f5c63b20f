"""The text of the module in a folder of plain Python: it builds a network, cuts it, loads its weights."""

HEAD = '''"""{what}: built, cut to its plan and loaded.

    from network import load
    network = load()    # a torch.nn.Module in evaluation mode, on the CPU

Key {key}. Images: float32 (N, {channels}, {height}, {width}), pixels / 255, then (x - mean) / std as in
metadata.json. Needs {needs}; nothing else is imported.
"""

import importlib
import json
import random
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

HERE = Path(__file__).resolve().parent


def build():
    """Build the dense network, with weights that `load` replaces."""
{build}


def build_alike():
    """Build it as it was built for pruning: from one seed, and run once, which completes lazy layers."""
    state = random.getstate()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        random.seed(0){seed_numpy}
        network = build().eval()
        network(torch.zeros(2, {channels}, {height}, {width}))
    random.setstate(state)
    return network


def load():
    """Build the network, set the numbers that pruning changed, and put the weights in their places."""
    plan = json.loads((HERE / "plan.json").read_text(encoding="utf-8"))
    stored = load_file(HERE / "weights.safetensors")
    network = build_alike(){make_plain}
    modules = dict(network.named_modules(remove_duplicate=False))
    changes = []
    for name, attributes in plan["attributes"].items():
        for attribute, value in attributes.items():
            old = getattr(modules[name], attribute)
            changes.append((modules[name], attribute, type(old)(value)))
    for module, attribute, value in changes:
        setattr(module, attribute, value)
    frozen = set(plan["frozen"])
    parameters = {{}}
    for name, first in plan["tensors"].items():  # `first`: a tensor of several names is stored once
        owner, _, local = name.rpartition(".")
        module = modules[owner]
        if local in module._parameters:
            if first not in parameters:
                parameters[first] = nn.Parameter(stored[first], requires_grad=first not in frozen)
            module._parameters[local] = parameters[first]
        else:
            module._buffers[local] = stored[first]
    return network


if __name__ == "__main__":
    print(load())
'''

MAKE_PLAIN = """
    sys.path.insert(0, str(HERE / "modules"))
    importlib.import_module("plain_weights").make_plain(network)"""
"""Where pruning has made weights plain that were computed from others."""

SEED_NUMPY = """
        importlib.import_module("numpy").random.seed(0)"""

FROM_MODULE = """    sys.path.insert(0, str(HERE / "modules"))
{torchvision}    function = importlib.import_module("{module}").{function}
    return function({classes}, {channels})"""

FROM_TORCHVISION = """{torchvision}    models = importlib.import_module("torchvision.models")
    return models.get_model_builder("{name}")(weights=None{arguments})"""

FROM_TIMM = """{torchvision}    timm = importlib.import_module("timm")
    arguments = {{"num_classes": {classes}, "in_chans": {channels}}}
{sized}    return timm.create_model("{name}", **arguments)"""

SIZED_TIMM = """    try:
        return timm.create_model("{name}", **arguments, img_size=({height}, {width}))
    except TypeError:  # a network for any size
        pass
"""

IMPORT_TORCHVISION = """    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # built for another torch, whose operators are not there; none is used here
        library = build.library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
"""torchvision cannot be imported beside a torch that it was not built for (`torchvision_compat.py`)."""
