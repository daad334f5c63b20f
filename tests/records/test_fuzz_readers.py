"""Fuzzing: whatever a file or an option says, it ends in a sane result or in one line, never in a traceback.

`PRUNING_BENCH_FUZZ=20 pytest tests/test_fuzz_readers.py` tries twenty times as many examples.
"""

import copy
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pruning_core.cli import cli
from pruning_core.config.grid import Grid, make_grid, read_grid
from pruning_core.config.parse import MAX_THREADS
from pruning_core.config.thresholds import Thresholds, read_thresholds
from pruning_core.errors import PruningBenchError
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy, read_policy
from pruning_core.gate.render import to_json, to_junit, to_markdown
from pruning_core.records.run import Run, run_of
from pruning_core.records.score import score_of
from pruning_core.report.build import build_report
from pruning_core.report.writers import render
from pruning_core.stats.intervals import median_interval
from tests.helpers.gate_changes import SMALL_SHAPE, small_run
from tests.helpers.made_up_scores import ERROR, score_content

TIMES = int(os.environ.get("PRUNING_BENCH_FUZZ", "1"))


def tries(count: int) -> Callable[[Any], Any]:
    """Return the settings of so many examples, the same ones each time."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=count * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=checks,
    )


CONTENT = small_run(seed=1, rounds=6)
TEXT = json.dumps(CONTENT)
OF_SCORES = score_content(ERROR, seed=1, rounds=6, **SMALL_SHAPE)
BASELINE = run_of(json.dumps(small_run(rounds=6)).encode(), Path("baseline.json"))
BASELINE_OF_SCORES = run_of(
    json.dumps(score_content(ERROR, rounds=6, **SMALL_SHAPE)).encode(), Path("baseline.json")
)
FIELDS = sorted({name for entry in CONTENT["benchmarks"] for name in entry["extra_info"]})
IDENTITIES = {(e["extra_info"]["suite"], e["extra_info"]["cell"]) for e in CONTENT["benchmarks"]}

EXTREMES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**400, -(10**400), 0.0, -0.0, 0.5, 1e-9, 1e300),
    *(5e-324, -5e-324, float("nan"), float("inf"), float("-inf"), "", " ", "x", "\0", "\x1b[2J", "\ud800"),
    *("$$", "$\\frac{$", "<b>", "=1+1", "../../x", "ok", "failed", "latency", "cost", "x" * 20_000, "nan"),
    *([], [[]], [[[[[]]]]], [0.0], [1e999], [float("nan")], [0.1] * 6, [0.1] * 3000, {}, {"a": {"b": []}}),
]

values = st.one_of(
    st.sampled_from(EXTREMES),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.lists(st.floats(-1, 1), max_size=8),
    st.dictionaries(st.text(max_size=5), st.integers(0, 99), max_size=3),
)

SCORE_FIELDS = sorted({name for e in OF_SCORES["benchmarks"] for name in e["extra_info"] if "score" in name})


def mutations_of(fields: list[str]) -> Any:
    """Return lists of changes to fields of the small run's entries."""
    return st.lists(
        st.tuples(
            st.integers(0, len(CONTENT["benchmarks"]) - 1),
            st.sampled_from(fields),
            st.one_of(
                st.tuples(st.just("set"), values),
                st.tuples(st.just("delete"), st.none()),
                st.tuples(st.just("scale"), st.sampled_from([0.0, -1.0, 0.5, 0.97, 1.03, 2.0, 1e9, 1e-9])),
                st.tuples(st.just("repeat"), st.none()),
                st.tuples(st.just("drop"), st.none()),
                st.tuples(st.just("shift"), st.floats(-2, 2)),
            ),
        ),
        min_size=1,
        max_size=4,
    )


def mutated(changes: list[tuple[int, str, tuple[str, Any]]], small: dict[str, Any]) -> dict[str, Any]:
    """Return a small run with changes to its entries."""
    content = copy.deepcopy(small)
    for place, field, (how, value) in changes:
        entries = content["benchmarks"]
        entry = entries[place % len(entries)]
        info = entry["extra_info"]
        if how == "set":
            info[field] = value
        elif how == "delete":
            info.pop(field, None)
        elif how == "scale" and type(info.get(field)) in (int, float):
            info[field] *= value
        elif how == "repeat":
            entries.append(copy.deepcopy(entry))
        elif how == "drop" and len(entries) > 1:
            entries.remove(entry)
        elif how == "shift" and isinstance(info.get("log_ratios"), list):
            info["log_ratios"] = [x + value if isinstance(x, float) else x for x in info["log_ratios"]]
    return content


T = TypeVar("T")


def is_one_line(error: PruningBenchError) -> bool:
    """Tell whether a refusal is one short line, and a user's mistake."""
    return error.exit_code == 2 and "\n" not in str(error) and len(str(error)) < 1000


def is_few_lines(error: PruningBenchError) -> bool:
    """Tell whether a refusal is a user's mistake, told in a line or two for each of a few fields."""
    return error.exit_code == 2 and len(str(error).splitlines()) <= 12 and len(str(error)) < 6000


def hangs_together(run: Run) -> None:
    """Check that every speed-up of a run, with its bounds, is the one of its rounds."""
    for record in run.records:
        if record["suite"] in ("latency", "training") and record.get("log_ratios"):
            ratios = record["log_ratios"]
            low, high, _ = median_interval(ratios, 0.0)
            assert record["speedup"] == pytest.approx(math.exp(-median(ratios)), rel=2e-3)
            assert record["speedup_low"] <= math.exp(-low) * 1.002
            assert record["speedup_high"] >= math.exp(-high) * 0.998
            assert record["speedup_low"] >= math.exp(-max(ratios)) * 0.998
            assert record["speedup_high"] <= math.exp(-min(ratios)) * 1.002


def outcome_of(call: Callable[[], T]) -> T | PruningBenchError:
    """Return what a call gives, or its refusal."""
    try:
        return call()
    except PruningBenchError as error:
        return error


def read(data: bytes) -> Run | PruningBenchError:
    """Read a file: the run that it holds, or the refusal."""
    return outcome_of(lambda: run_of(data, Path("run.json")))


def is_told_or_judged(data: bytes, baseline: Run = BASELINE) -> bool:
    """Tell whether a file is refused in one line; one that can be read is checked, judged and shown."""
    run = read(data)
    if isinstance(run, PruningBenchError):
        return is_one_line(run)
    hangs_together(run)
    for pair in ((baseline, run), (run, baseline)):
        result = compare(*pair, Policy())
        if result.exit_code == 0 and pair[0] is baseline:
            sound = {(r["suite"], r["cell"]) for r in run.records if r["status"] == "ok"}
            assert sound >= IDENTITIES
        for write in (to_json, to_junit, to_markdown):
            write(result).encode()
    report = build_report([run])
    return all(render(report, form).encode() for form in ("markdown", "csv", "json"))


@tries(450)
@given(mutations_of(FIELDS))
def test_altered_records_are_refused_or_hang_together(changes: list[Any]) -> None:
    """A run with altered fields is refused in one line, or judged by numbers that its rounds give."""
    assert is_told_or_judged(json.dumps(mutated(changes, CONTENT)).encode())


@tries(300)
@given(mutations_of(SCORE_FIELDS))
def test_altered_scores_are_refused_or_hang_together(changes: list[Any]) -> None:
    """A run of altered scores is refused in one line, or judged and shown like any other."""
    data = json.dumps(mutated(changes, OF_SCORES)).encode()
    assert is_told_or_judged(data, BASELINE_OF_SCORES)
    run = read(data)
    if isinstance(run, Run):
        assert render(build_report([run]), "html").encode()
        assert all(math.isfinite(s.value) for r in run.records if (s := score_of(r)))


@tries(250)
@given(st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_altered_bytes_are_refused_or_hang_together(flips: list[tuple[int, int]]) -> None:
    """A run with altered bytes is refused in one line, or judged and shown like any other."""
    data = bytearray(TEXT.encode())
    for index, byte in flips:
        data[index] = byte
    assert is_told_or_judged(bytes(data))


@tries(100)
@given(st.integers(0, len(TEXT)), st.integers(0, len(TEXT)), st.binary(max_size=20))
def test_cut_and_foreign_bytes_are_told(start: int, end: int, inserted: bytes) -> None:
    """A file cut short, or with foreign bytes in it, is refused in one line, or read like any other."""
    assert is_told_or_judged(TEXT.encode()[:start] + inserted + TEXT.encode()[end:])


@tries(60)
@given(st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_any_json_is_told(content: Any) -> None:
    """JSON of any content at all is refused in one line."""
    for wrapped in (content, {"benchmarks": content}, {"benchmarks": [{"extra_info": content}]}):
        refusal = read(json.dumps(wrapped).encode("utf-8", "surrogatepass"))
        assert isinstance(refusal, PruningBenchError)
        assert is_one_line(refusal)


NUMBERS = [
    "0",
    "1",
    "-1",
    "0.05",
    "1e-300",
    "1e999",
    "nan",
    "-inf",
    "9" * 5000,
    "1" + "0" * 400,
    "true",
    "1_0",
]
WORDS = [
    "''",
    '"*"',
    '"latency/*"',
    '"[!"',
    '"\\u0000"',
    '"' + "x" * 5000 + '"',
    "[]",
    "{}",
    "[1, 2]",
    "[[0.5, 1]]",
]
toml_values = st.sampled_from(NUMBERS + WORDS) | st.text(max_size=12)
KEYS = {
    "policy": "slowdown dense_slowdown max_accuracy_drop inconclusive familywise_error confidence "
    "min_cells alpha_weights cells match",
    "thresholds": "threshold dataset ratio min_accuracy max_accuracy_drop min_agreement up_to_ratio",
    "grid": "model dataset ratios threads batch_sizes round_to max_ratio scope protect ratio_of recipe "
    "epochs_by_ratio seed rounds epochs",
}
HEADS = [
    "",
    "[[cells]]",
    "[[threshold]]",
    "[train]",
    "[latency]",
    "[fine_tune]",
    "[[train]]",
    "[ratio_of]",
    "[a.b]",
    "[cells]",
]
READERS: dict[str, Callable[[Path], object]] = {
    "policy": read_policy,
    "thresholds": read_thresholds,
    "grid": read_grid,
}


@pytest.mark.parametrize("kind", READERS)
@tries(150)
@given(data=st.data())
def test_any_toml_is_told(kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A TOML file of any keys and values is read or refused in a line for each of a few fields."""
    keys = st.sampled_from(KEYS[kind].split()) | st.text(max_size=8)
    lines = data.draw(st.lists(st.tuples(st.sampled_from(HEADS), keys, toml_values), max_size=5))
    text = "\n".join(f"{head}\n{key} = {value}" for head, key, value in lines)
    path = tmp_path_factory.getbasetemp() / f"fuzz-{kind}.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = outcome_of(lambda: READERS[kind](path))
    if isinstance(found, PruningBenchError):
        assert is_few_lines(found)
    else:
        assert isinstance(found, Policy | Thresholds | Grid)


PIECES = st.sampled_from(
    [*NUMBERS, ":", ",", "x", "e", "-", "sNaN", "0.1:0.9:0.1", "0:1e999999:1e-999999", "٣", "\0"]
)
texts = st.lists(PIECES, max_size=6).map("".join) | st.text(max_size=20)
AXES = [*Grid.model_fields, "train.seed", "fine_tune.epochs", "latency.target_error", "latency.min_rounds"]


@tries(250)
@given(st.dictionaries(st.sampled_from(AXES), texts | values, max_size=3))
def test_any_option_is_told(options: dict[str, Any]) -> None:
    """Options of a grid, of any text or value, give a grid of sane size or a few lines."""
    grid = outcome_of(lambda: make_grid(options))
    if isinstance(grid, PruningBenchError):
        assert is_few_lines(grid)
        return
    assert len(grid.ratios) <= 1001
    assert all(0 <= ratio <= 1 for ratio in grid.ratios)
    assert max(grid.threads) <= MAX_THREADS
    assert max(grid.batch_sizes) <= 65_536


@tries(60)
@given(
    st.sampled_from(
        ["--image", "--classes", "--round-to", "--ratios", "--ratio-of", "--schedule", "--scope", "--method"]
    ),
    texts.filter(lambda text: text not in ("0.05", "0", "1", "1_0", "true", "0.1:0.9:0.1")),
)
def test_any_option_of_a_command_is_told(option: str, text: str) -> None:
    """The command `plan` ends over any text of an option as a user's mistake; nothing else happens."""
    result = CliRunner().invoke(cli, ["plan", option, text, "--model", "no-such-network"])
    if isinstance(result.exception, SystemExit):
        assert result.exit_code == 2
    else:
        assert isinstance(result.exception, PruningBenchError), result.exception
