"""A run of several seeds → a run for each, so that what is made for one seed stays as it is."""

from dataclasses import replace

from pruning_core.records.run import Run


def split_by_seed(run: Run) -> list[Run]:
    """Return the replicates of a run, in the order in which they ran.

    Args:
        run: Its records say the seed of their training.

    Returns:
        The run itself where it has one seed. What has no seed, such as training speed, is with the first.
    """
    seeds = list(dict.fromkeys(r["seed"] for r in run.records if "seed" in r))
    if len(seeds) < 2:
        return [run]
    return [
        replace(run, records=tuple(r for r in run.records if r.get("seed", seeds[0]) == seed))
        for seed in seeds
    ]
