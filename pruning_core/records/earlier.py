"""What earlier schemas called a field, and what they wrote there: read as if written today.

schema 1  first
schema 2  `latency_p95_ms` is of single calls, no longer of samples; agreement stands in latency records too;
          new, optional: why a cell is not faster, contention, how long it took to set a backend up
schema 3  the names of today; new, optional: `backend_options`, the proof of a cut, groups kept whole
"""

from collections.abc import Mapping

OLD_NAMES: Mapping[str, str] = {
    "accuracy_floor": "min_accuracy",
    "accuracy_allowed_drop": "max_accuracy_drop",
    "agreement_floor": "min_agreement",
    "control": "is_control",
    "disturbance": "contention",
    "handover_us": "fork_join_us",
    "load_s": "setup_s",
    "matrix_gflops": "peak_gflops",
    "others_share": "other_cpu_share",
    "outside_share": "data_share",
    "right_answers": "correct_bits",
    "rounds_left_out": "rounds_rejected",
    "train_graphed": "train_cuda_graph",
    "train_outside_s": "train_overhead_s",
}
"""What schema 1 and 2 called a field → its name."""

OLD_VALUES: Mapping[tuple[str, str], str] = {
    ("roofline_bound", "matrix"): "compute",
    ("roofline_bound", "bandwidth"): "memory",
    ("reference", "plain loop"): "baseline loop",
}
"""Field and what schema 1 and 2 wrote there → what is written there now."""
