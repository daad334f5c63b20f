"""pruning-bench: if I prune this network, what do I gain on this device, and what do I lose?

Read `pipeline.py` first: it is the story. Nothing heavy is imported here, so that the report and the
gate start without torch.
"""

__version__ = "0.1.0"
