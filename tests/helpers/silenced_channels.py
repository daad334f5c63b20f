"""What a pruned network must answer: the dense one, in which all that the plan removes is zero."""

import copy

import torch

IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def silenced(network, plan):
    """Return a copy in which all that the plan removes is zero."""
    network = copy.deepcopy(network)
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    with torch.no_grad():
        for name, tensor in tensors.items():
            for dimension, kept in enumerate(plan.kept_indices(name) or ()):
                if kept is not None:
                    gone = sorted(set(range(tensor.shape[dimension])) - set(kept.tolist()))
                    neutral = 1.0 if name.endswith("running_var") else 0.0
                    tensor.index_fill_(dimension, torch.tensor(gone, dtype=torch.int64), neutral)
    return network


def assert_answers_as(network, reference):
    """Assert that two networks answer alike, measured against how far answers to different images differ."""
    with torch.no_grad():
        got, wanted = network.eval()(IMAGES), reference.eval()(IMAGES)
    spread = float((wanted - wanted.mean(0)).abs().max())
    assert float((got - wanted).abs().max()) < 1e-3 * spread
