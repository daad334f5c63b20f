"""What the headings of the tables mean: under each table, beside each heading of the page, in its list.

A heading that a table gives another meaning says so in its `Column`.
"""

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "model": "name of the network",
    "dataset": "what it was trained on and is tested on",
    "method": "how channels or weights were chosen; dense: nothing was pruned",
    "ratio": "fraction of channels removed, relative to the dense model (of weights, where a method masks)",
    "backend": "what executes the model, and its precision",
    "device": "what it runs on; of several files also which",
    "precision": "of the arithmetic",
    "batch": "images in one call",
    "MACs": "multiply-adds for one image",
    "MACs by torch-pruning": "what its own counter says, which misreads this network",
    "params": "number of parameters",
    "size": "of the file of weights",
    "sparsity %": "weights of convolutions and linear layers that are 0",
    "accuracy %": "top-1 on the whole test split [95 % Wilson interval]",
    "accuracy before fine-tuning %": "top-1 right after pruning",
    "agreement %": "test images with the same prediction as eager fp32 of the same checkpoint",
    "ms": "median time of one call [interval]",
    "speed-up": "over the dense model on the same backend [interval]",
    "total speed-up": "over dense eager fp32: the product of the two speed-ups of its chain [interval]",
    "rejected %": "rounds left out, because the worker threads took longer than usual to reach",
    "MAC reduction ×": "how many times fewer MACs than dense",
    "setup s": "seconds to export, compile or quantize the model, the slowest of its batch sizes",
    "MAC efficiency %": "speed-up ÷ MAC reduction; 100 means that every MAC saved is time saved",
    "roofline %": (
        "least time by this machine's roofline, in percent of the time it takes; over 100 where a kernel "
        "skips work that is counted, such as padding"
    ),
    "launch-bound": "whether the GPU waits for the host",
    "p50": "median of single calls, in ms",
    "p95": "95th percentile of single calls, in ms",
    "p99": "99th percentile of single calls, in ms",
    "images/s": "images in one second",
    "memory": "most memory in use in a call",
}
"""Heading → what it means."""
