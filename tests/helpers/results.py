"""The published runs in `results/`: one folder for each experiment."""

from pathlib import Path

RESULTS = Path(__file__).parents[2] / "results"

PUBLISHED_RUNS = sorted(RESULTS.glob("*/run*.json"))


def published_run(experiment: str, file: str = "run.json") -> Path:
    """Return the file of one run of an experiment."""
    return RESULTS / experiment / file
