"""Batch norms of a network that nobody trained: statistics that fit it, so that no number fades away.

At their initial statistics such norms change nothing, and behind many narrow layers activations may become
denormal numbers, with which some processors compute far slower. A trained network has none of them.
Not here: what is done before fine-tuning (`training/batch_norm.py`).
"""

import torch
from torch import nn

from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, random_like, run
from pruning_core.models.user import seeded

EXAMPLES = 8
"""Random ones, in one batch: a norm of flat features cannot do with one."""


def with_new_statistics(network: nn.Module, example: Inputs) -> nn.Module:
    """Return a copy of a network whose batch norms have the statistics of random inputs.

    Args:
        network: In float32 on the CPU; it stays as it is.
        example: What it takes, of one example: (1, C, H, W), say.

    Returns:
        In evaluation mode. The network itself where it has no batch norm, or cannot be run in this way:
        a backend says better why.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        return network
    copied = copy_network(network).eval()
    norms = [m for m in copied.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the statistics of this batch alone
        norm.train()
    inputs = random_like(example, EXAMPLES, torch.Generator().manual_seed(0))
    try:
        with seeded(0), torch.no_grad():
            run(copied, inputs)
    except Exception:  # of a user's code, in a way that it need not run
        return network
    for norm, buffers, momentum in zip(norms, before, momenta, strict=True):
        norm.momentum = momentum
        if norm.num_batches_tracked is None or int(norm.num_batches_tracked) == 0:  # it did not run
            norm.load_state_dict(buffers, strict=False)
    return copied.eval()
