"""torch-pruning by itself, as its README has it: what our tests of its faults ask it for."""

import copy

import torch

from pruning_core.torchvision_compat import torch_pruning as tp

EXAMPLE = torch.zeros(1, 3, 16, 16)
TOKENS = torch.zeros(1, 5, 8)
MAGNITUDE = tp.importance.MagnitudeImportance(p=2)


def graph_of(network, example=EXAMPLE):
    """Trace a network."""
    return tp.DependencyGraph().build_dependency(network, example_inputs=example, verbose=False)


def group_of(network, layer, channels=None, example=EXAMPLE):
    """Return the group of some outputs of a layer; of all where none are named."""
    graph = graph_of(network, example)
    channels = range(graph.get_out_channels(layer)) if channels is None else channels
    return graph.get_pruning_group(
        layer, graph.get_pruner_of_module(layer).prune_out_channels, list(channels)
    )


def pruner_of(network, example=EXAMPLE, **options):
    """Return a pruner of half of the channels, its shared defaults replaced."""
    fresh = {"in_channel_groups": {}, "out_channel_groups": {}, "num_heads": {}}
    usual = {"importance": MAGNITUDE, "pruning_ratio": 0.5, "unwrapped_parameters": []}
    return tp.BasePruner(network, example, **(fresh | usual | options))


def prune(network, example=EXAMPLE, steps=1, **options):
    """Prune a network with torch-pruning."""
    pruner = pruner_of(network, example, iterative_steps=steps, **options)
    for _ in range(steps):
        pruner.step()


def error_of_cut(network, gone, images=None):
    """Cut outputs of `network.a`; return how far off the answer is, and how large it is.

    A cut channel carries nothing: the network whose channel is silenced must answer as the one that is cut.
    """
    silenced = copy.deepcopy(network).eval()
    with torch.no_grad():
        silenced.a.weight[gone] = 0
        silenced.a.bias[gone] = 0
    images = torch.randn(2, 3, 16, 16) if images is None else images
    group_of(network, network.a, gone, images[:1]).prune()
    with torch.no_grad():
        wanted, got = silenced(images), network.eval()(images)
    return float((got - wanted).abs().max()), float(wanted.abs().max())
