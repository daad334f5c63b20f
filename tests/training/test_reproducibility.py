"""Seeds: one for each purpose."""

from pruning_core.tasks.seeds import derive_seed


def test_seeds_for_different_purposes_differ():
    """No two of (seed, epoch, purpose) share a seed, as seed + epoch would."""
    seeds = {
        derive_seed(s, e, p) for s in range(5) for e in range(5) for p in ("order", "augmentation", "layers")
    }
    assert len(seeds) == 75
