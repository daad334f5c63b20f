"""A small grid for runs of the suites, and what such a run wrote."""

from pathlib import Path

from pruning_core.records.run import read_run

ROOT = Path(__file__).parents[2]

OF_A_USER = ROOT / "pruning_core" / "user_code" / "README.md"

SHORT_LATENCY = """
[latency]
min_rounds = 5
max_rounds = 5
warmup_ms = 5.0
sample_ms = 0.5
control_tolerance = 0.9
"""
"""Of a grid: as little time as can be measured."""

GRID = f"""
ratios = [0.5]
batch_sizes = [1, 3]
backends = ["eager", "eager:bf16"]
threads = 1
[train]
epochs = 1
batch_size = 256
precision = "fp32"
[fine_tune]
epochs = 1
batch_size = 256
precision = "fp32"
{SHORT_LATENCY}"""

LENIENT = """
[[threshold]]
min_agreement = 0.9  # a network that is hardly trained is never sure
"""


def records(pytester):
    """Read what the run wrote."""
    return read_run(pytester.path / "out.json").records
