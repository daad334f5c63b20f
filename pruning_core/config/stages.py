"""The steps of a chain, in words."""

from pruning_core.config.spec import CheckpointSpec, DenseSpec, PrunedSpec


def stage_words(spec: CheckpointSpec) -> str:
    """Say in words which step of a chain makes a checkpoint: `dense`, `slimming, uncut`, `slimming 0.5`."""
    if isinstance(spec, PrunedSpec):
        return f"{spec.method.name} {spec.ratio:g}"
    return "dense" if isinstance(spec, DenseSpec) else f"{spec.method.name}, uncut"
