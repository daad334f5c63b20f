"""The record: what is stored about a cell, field by field.

A record is the flat `extra_info` of a pytest-benchmark entry. `FIELDS` is the one table of its fields; the
table in `records/README.md` is printed from it. Times are stored in the unit that the name says, fractions
in [0, 1]. The schema's history stands in `earlier.py`. Must not import torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Field:
    """One field of the record: its name, unit, the suites that write it, and what it means."""

    name: str
    kind: type
    unit: str
    suites: str
    meaning: str


_ALL, _COST, _ACC, _LAT, _RUN = "all", "cost", "accuracy", "latency", "accuracy, latency"
_TRAIN, _TIMED = "training", "latency, training"

FIELDS: tuple[Field, ...] = (
    Field("schema_version", int, "", _ALL, "version of this table"),
    Field("suite", str, "", _ALL, "`cost`, `accuracy`, `latency` or `training`"),
    Field("cell", str, "", _ALL, "id of the cell, the same in every run of the same grid"),
    Field("status", str, "", _ALL, "`ok`, or `failed` when an assertion did not hold"),
    Field("failure", str, "", _ALL, "why it failed; empty when ok"),
    Field("model", str, "", _ALL, "name of the network"),
    Field("dataset", str, "", _ALL, "name of the dataset, without its path"),
    Field("dataset_fingerprint", str, "", _ALL, "hash of all pixels and labels"),
    Field("pictures", str, "", _ALL, "of a folder: size, and classes by name, 20 at most; absent elsewhere"),
    Field("method", str, "", _ALL, "pruning method; `dense` for the unpruned network"),
    Field("ratio", float, "fraction", _ALL, "channels removed, asked for; 0 for dense"),
    Field("schedule", str, "", _ALL, "`iterative` or `one-shot`"),
    Field("scope", str, "", _ALL, "`local`, `global` or `isomorphic`"),
    Field("round_to", int, "channels", _ALL, "kept widths are multiples of this"),
    Field("protect", str, "", _ALL, "patterns of layers that stay whole, `head,layer1.*`; absent: none"),
    Field("ratio_of", str, "", _ALL, "layers with a ratio of their own, `layer4.*=0.8`; absent: none"),
    Field("max_ratio", float, "fraction", _ALL, "no layer lost more of its dense width; absent: no limit"),
    Field("optimize_for", str, "", _ALL, "setting that latency-aware was timed in; absent: another method"),
    Field("weights", str, "", _ALL, "file or name of the dense model's weights; absent: from a seed"),
    Field("weights_sha256", str, "hex", _ALL, "hash of these, by the network's own names"),
    Field("recipe_sha256", str, "hex", _ALL, "hash of how its grid trains and fine-tunes, but for the seed"),
    Field("key", str, "", _ALL, "key of the checkpoint"),
    Field("seed", int, "", _ALL, "seed of the training"),
    Field("exhausted", bool, "", _ALL, "this step removed nothing that the one before had not"),
    Field("proof", str, "", _ALL, "of the cut: `exact`, or the statistics that change; absent: nothing cut"),
    Field("kept_whole", dict, "", _ALL, "layer → why its group kept its width, 40 at most; absent: none did"),
    Field("groups_kept_whole", int, "", _ALL, "how many groups of channels kept their width; absent: none"),
    Field("groups", int, "", _ALL, "of so many, where some did"),
    Field(
        "target",
        str,
        "",
        "cost, latency",
        "what its ratio was found for, and is judged by here; absent: none",
    ),
    Field("target_met", str, "", "cost, latency", "`met` (a time: within 5 %), `missed` or `inconclusive`"),
    Field(
        "target_reached", str, "", "cost, latency", "what it reaches of the target, a time with its interval"
    ),
    Field("macs", int, "multiply-adds", _COST, "for one image: products, and small operations beside them"),
    Field("macs_products", int, "multiply-adds", _COST, "of these, in convolutions and matrix products"),
    Field(
        "macs_torch_pruning",
        int,
        "multiply-adds",
        _COST,
        "what torch-pruning's own counter says, where it can: it misreads some layers",
    ),
    Field("params", int, "", _COST, "number of parameters"),
    Field("size_bytes", int, "bytes", _COST, "size of the weights file"),
    Field(
        "achieved_ratio",
        float,
        "fraction",
        _COST,
        "output channels of convolutions removed, all layers together",
    ),
    Field("widths", dict, "channels", _COST, "layer → kept output channels, for every prunable layer"),
    Field("dense_widths", dict, "channels", _COST, "layer → output channels of the dense model"),
    Field("sparsity", float, "fraction", _COST, "weights of convolutions and linear layers that are 0"),
    Field("train_precision", str, "", "cost, training", "what it resolved to; empty: without an epoch"),
    Field("train_device", str, "", _COST, "what the training device resolved to"),
    Field("train_cuda_graph", bool, "", "cost, training", "steps were launched as one CUDA graph each"),
    Field("train_memory_format", str, "", "cost, training", "of images and weights; empty: without an epoch"),
    Field("train_s", float, "s", _COST, "seconds of training or fine-tuning, over all interruptions"),
    Field("train_overhead_s", float, "s", _COST, "of these, outside of the steps: batches, progress, saving"),
    Field("epochs", int, "", _COST, "epochs of training (dense) or fine-tuning (pruned)"),
    Field("epochs_spent", int, "", _COST, "of the chain so far: dense, with a penalty, fine-tuned each step"),
    Field("backend", str, "", _RUN, "what executes the checkpoint"),
    Field("precision", str, "", _RUN, "`fp32`, `bf16`, `fp16` or `int8`"),
    Field("device", str, "", "accuracy, latency, training", "`cpu`, `cuda:0`, …"),
    Field("threads", int, "", "accuracy, latency, training", "CPU threads used"),
    Field(
        "accuracy", float, "fraction", _RUN, "top-1 on the whole test split, on this backend and precision"
    ),
    Field("accuracy_low", float, "fraction", _RUN, "lower 95 % Wilson bound"),
    Field("accuracy_high", float, "fraction", _RUN, "upper 95 % Wilson bound"),
    Field("accuracy_n", int, "images", _RUN, "images in the test split"),
    Field(
        "accuracy_pruned", float, "fraction", _ACC, "before fine-tuning, on eager; same as accuracy for dense"
    ),
    Field("dense_accuracy", float, "fraction", _ACC, "of the dense model on the same backend and precision"),
    Field("accuracy_drop", float, "fraction", _ACC, "dense_accuracy − accuracy"),
    Field("min_accuracy", float, "fraction", _ACC, "least accuracy that passes"),
    Field("max_accuracy_drop", float, "fraction", _ACC, "largest drop that passes"),
    Field("score", float, "score", _RUN, "of a task that is no classification, in place of `accuracy`"),
    Field("score_low", float, "score", _RUN, "lower 95 % bound; absent: the task gives no value per example"),
    Field("score_high", float, "score", _RUN, "upper 95 % bound, likewise"),
    Field("score_n", int, "examples", _RUN, "examples that were scored"),
    Field("score_name", str, "", _RUN, "what the score is, `mean IoU`"),
    Field("score_better", str, "", _RUN, "`higher` or `lower`: which values are the better ones"),
    Field("score_pruned", float, "score", _ACC, "before fine-tuning, on eager; same as score for dense"),
    Field("score_dense", float, "score", _ACC, "of the dense model on the same backend and precision"),
    Field("score_drop", float, "score", _ACC, "how much worse than dense; positive is worse, either way"),
    Field("score_drop_low", float, "score", _ACC, "lower 95 % bound, from pairs; absent: as `score_low`"),
    Field("score_drop_high", float, "score", _ACC, "upper 95 % bound, likewise"),
    Field("min_score", float, "score", _ACC, "least score that passes, where higher is better"),
    Field("max_score", float, "score", _ACC, "greatest score that passes, where lower is better"),
    Field("max_score_drop", float, "score", _ACC, "largest drop that passes"),
    Field(
        "agreement",
        float,
        "fraction",
        _RUN,
        "test images with the same top-1 as eager fp32; latency: also in batches of this size, the least",
    ),
    Field("min_agreement", float, "fraction", _RUN, "least agreement that passes"),
    Field("logit_difference", float, "logits", _RUN, "largest difference of a logit from eager fp32"),
    Field("backend_options", str, "", _RUN, "what the runtime was told that is not its default"),
    Field("memory_format", str, "", _RUN, "how images lie in memory; `backend`: it decides by itself"),
    Field("setup_s", float, "s", _RUN, "seconds to export, compile or quantize the model for the backend"),
    Field(
        "correct_bits",
        str,
        "hex",
        _ACC,
        "one bit a test image, first image first, 1 = right (see `pack_correct_bits`)",
    ),
    Field("batch_size", int, "images", _TIMED, "images in one call or step"),
    Field("step_ms", float, "ms", _TRAIN, "median time of one training step, fetching its images included"),
    Field("data_share", float, "fraction", _TRAIN, "of that time, spent fetching images"),
    Field("reference_images_per_s", float, "1/s", _TRAIN, "of a loop with DataLoader, fp32, contiguous"),
    Field("latency_ms", float, "ms", _LAT, "time of one call: median of rounds, two samples each"),
    Field("latency_low_ms", float, "ms", _LAT, "lower bound of that median"),
    Field("latency_high_ms", float, "ms", _LAT, "upper bound of that median"),
    Field("latency_p05_ms", float, "ms", _LAT, "5th percentile of single calls"),
    Field("latency_p50_ms", float, "ms", _LAT, "median of single calls"),
    Field("latency_p95_ms", float, "ms", _LAT, "95th percentile of single calls; 20 calls or more"),
    Field("latency_p99_ms", float, "ms", _LAT, "99th percentile of single calls; 100 calls or more"),
    Field("calls_timed", int, "", _LAT, "single calls that the percentiles are of"),
    Field("images_per_s", float, "1/s", _TIMED, "batch size ÷ time of one call or step"),
    Field(
        "reference",
        str,
        "",
        _TIMED,
        "id of the cell it is paired with; `baseline loop` in training",
    ),
    Field("reference_latency_ms", float, "ms", _LAT, "median time of one call of the reference, same rounds"),
    Field("speedup", float, "ratio", _TIMED, "reference time ÷ this time, from pairs"),
    Field("speedup_low", float, "ratio", _TIMED, "lower bound, exact, from order statistics"),
    Field("speedup_high", float, "ratio", _TIMED, "upper bound, exact, from order statistics"),
    Field(
        "confidence", float, "fraction", _TIMED, "coverage of the intervals in this record that was reached"
    ),
    Field("log_ratios", list, "ln ratio", _TIMED, "one ln(this ÷ reference) a round"),
    Field("rounds", int, "", _TIMED, "A B B A rounds"),
    Field(
        "rounds_rejected",
        int,
        "",
        _TIMED,
        "further rounds, left out: the fork–join latency was higher than usual",
    ),
    Field("fork_join_us", float, "µs", _TIMED, "fork–join latency; on a CPU with more than one thread"),
    Field("looks", int, "", _TIMED, "planned looks at the interval; the chance of error is split over them"),
    Field("calls_per_sample", int, "", _TIMED, "calls that one sample is the mean of"),
    Field("is_control", bool, "", _TIMED, "A/A control: paired with a copy of itself"),
    Field(
        "contaminated",
        bool,
        "",
        _TIMED,
        "not to be trusted: the A/A control of this run left the tolerance, or the machine was disturbed",
    ),
    Field(
        "contention", str, "", _TIMED, "what disturbed the machine meanwhile, in words; empty when nothing"
    ),
    Field("steal_share", float, "fraction", _TIMED, "of our cores' time, taken by the hypervisor"),
    Field("other_cpu_share", float, "fraction", _TIMED, "of our cores' time, used by other processes"),
    Field("cpu_mhz_low", float, "MHz", _TIMED, "lowest clock of the CPU seen"),
    Field("cpu_mhz_high", float, "MHz", _TIMED, "highest clock of the CPU seen"),
    Field("gpu_mhz_low", float, "MHz", _TIMED, "lowest clock of the GPU seen"),
    Field("gpu_mhz_high", float, "MHz", _TIMED, "highest clock of the GPU seen"),
    Field("mac_reduction", float, "ratio", _LAT, "MACs of the reference ÷ MACs of this"),
    Field("mac_efficiency", float, "ratio", _LAT, "speedup ÷ mac_reduction; 1: all MACs saved save time"),
    Field("device_ms", float, "ms", _LAT, "time of a call on the GPU by its own clock, calls back to back"),
    Field("launch_ms", float, "ms", _LAT, "time in which the host hands a call to the GPU"),
    Field("launch_bound", bool, "", _LAT, "the GPU waits for the host: launch_ms is most of device_ms"),
    Field("peak_memory_bytes", int, "bytes", _LAT, "most memory in use in a call, where the device says"),
    Field("peak_gflops", float, "GFLOP/s", _TIMED, "fastest matrix product of this run, this precision"),
    Field("bandwidth_gb_s", float, "GB/s", _LAT, "fastest stream through memory of this run"),
    Field(
        "roofline_fraction",
        float,
        "ratio",
        _TIMED,
        "least time by those two (arithmetic; weights and images moved once; training: arithmetic) ÷ time",
    ),
    Field("roofline_bound", str, "", _LAT, "which of the two: `compute` or `memory`"),
)

FIELD_BY_NAME: Mapping[str, Field] = {field.name: field for field in FIELDS}

SCORE_FIELDS = frozenset(f.name for f in FIELDS if f.unit == "score" or f.name.startswith("score_"))
"""Fields that a record of a classification never has."""

STATUSES = ("ok", "failed")

HIGHER, LOWER = "higher", "lower"
"""Values of `score_better`."""

NULLABLE = frozenset(
    (
        *("score_low", "score_high", "score_drop_low", "score_drop_high", "agreement", "min_agreement"),
        *("min_score", "max_score", "max_score_drop"),
    )
)
"""Fields that a task or a cell need not have: null is read, and stored, as absent."""

FORK_JOIN_SAME_WITHIN = 1.25
"""Fork–join latencies less than this factor apart are of one state of the machine (`system/README.md`)."""

Record = dict[str, Any]


def field_table() -> str:
    """Return the table of all fields as Markdown, as it stands in `records/README.md`."""
    rows = ["| field | unit | suites | meaning |", "|---|---|---|---|"]
    rows += [f"| `{f.name}` | {f.unit} | {f.suites} | {f.meaning} |" for f in FIELDS]
    return "\n".join(rows)
