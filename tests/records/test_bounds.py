"""Options and files: whatever stands there ends in a grid or in one line, soon and in little memory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pruning_core.cli import cli
from pruning_core.config.grid import make_grid, read_grid
from pruning_core.config.grid_files import find_grid
from pruning_core.config.thresholds import read_thresholds
from pruning_core.datasets import load_dataset
from pruning_core.errors import DatasetError, OptionError, RecordError
from pruning_core.files import input
from pruning_core.gate.policy import read_policy
from pruning_core.records import run, run_json
from pruning_core.selftest.latency_summary import read_summary
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import small_run
from tests.helpers.results import published_run

READERS: dict[str, Callable[[Path], object]] = {
    "policy": read_policy,
    "thresholds": read_thresholds,
    "grid": read_grid,
    "selftest": read_summary,
}

KEYS = {
    "policy": ("slowdown = {}", "inconclusive = {}", "[[cells]]\nmatch = {}", "{} = 1", "cells = {}"),
    "thresholds": (
        "[[threshold]]\nmin_accuracy = {}",
        "[[threshold]]\nmodel = {}",
        "threshold = {}",
        "[[threshold]]\n{} = 1",
    ),
    "grid": (
        "ratios = {}",
        "threads = {}",
        "batch_sizes = {}",
        "model = {}",
        "round_to = {}",
        "epochs_by_ratio = {}",
        "epochs_by_ratio = [[{}, 1]]",
        "recipe = {}",
        "[train]\nseed = {}",
        "[train]\nmomentum = {}",
        "[train]\nepochs = {}",
        "[fine_tune]\ndistill_temperature = {}",
        "[latency]\nbudget_s = {}",
        "[latency]\n{} = 1",
        "{} = 1",
    ),
}

WRONG = {
    "5,000 digits": "9" * 5000,
    "10^400": "1" + "0" * 400,
    "10^19": "1" + "0" * 19,
    "infinite": "inf",
    "none": "nan",
    "beyond a float": "1e999",
    "500 deep": "[" * 500 + "]" * 500,
    "100,000 deep": "[" * 100_000,
    "a long text": '"' + "x" * 20_000 + '"',
    "tables": "{a = {b = {c = 1}}}",
}


def one_line(error: BaseException) -> None:
    """Check that an error is short, and has no more lines than what is known and a line a field."""
    lines = str(error).splitlines()
    assert 1 <= len(lines) <= 6
    assert all(len(line) < 1000 for line in lines), [len(line) for line in lines]


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_extremes_in_toml_are_told_in_short(tmp_path: Path, kind: str, value: str) -> None:
    """Endless numbers and texts, deep lists and what is no number are refused under any key."""
    path = tmp_path / "file.toml"
    for line in KEYS[kind]:
        path.write_text(line.format(value) + "\n")
        with pytest.raises(OptionError) as caught:
            READERS[kind](path)
        one_line(caught.value)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"\0", b"= 1", b'a = """', b"[" * 100_000, b"a." * 50_000 + b"b = 1", b"{"]
)
def test_what_is_no_toml_is_told_in_short(tmp_path: Path, kind: str, content: bytes) -> None:
    """Bytes that are no text, no TOML or no JSON, or names nested without end, are refused in one line."""
    path = tmp_path / "file.toml"
    path.write_bytes(content)
    with pytest.raises(OptionError) as caught:
        READERS[kind](path)
    one_line(caught.value)


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    """A folder, an endless device, a name that cannot be and a large file are refused by every reader."""
    large = tmp_path / "large.toml"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    for path in (
        tmp_path,
        Path("/dev/zero"),
        Path("a\0b"),
        tmp_path / ("x" * 5000),
        large,
        tmp_path / "none",
    ):
        with pytest.raises(OptionError) as caught:
            READERS[kind](path)
        one_line(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ratios", "0:1e999999:1e-999999"),
        ("ratios", "1e-999999"),
        ("ratios", "0:1:1e-9"),
        ("ratios", "0:1:0"),
        ("ratios", "0:1:nan"),
        ("ratios", "sNaN"),
        ("ratios", "-inf"),
        ("ratios", "9" * 100_000),
        ("ratios", ":" * 100_000),
        ("ratios", "," * 100_000),
        ("ratios", "0.1:0.2"),
        ("ratios", [10**400]),
        ("ratios", [True]),
        ("threads", "1000000000"),
        ("threads", "0,1"),
        ("threads", "1" * 5000),
        ("threads", [False]),
        ("batch_sizes", "1000000000000"),
        ("batch_sizes", ",".join(map(str, range(1, 5000)))),
        ("batch_sizes", [10**400]),
        ("batch_sizes", "-1"),
        ("model", "x" * 100_000),
        ("model", "a\0b"),
        ("model", ",".join(f"m{i}" for i in range(5000))),
        ("backends", "eager:" + "x" * 100_000),
        ("train.seed", 2**64),
        ("train.seed", -1),
        ("latency.target_error", float("nan")),
        ("latency.budget_s", float("inf")),
        ("train.learning_rate", float("inf")),
        ("x" * 100_000, 1),
    ],
)
def test_extreme_options_are_told_in_short(option: str, value: object) -> None:
    """What no grid can have is refused by the option's name, before anything is built of it."""
    with pytest.raises(OptionError) as caught:
        make_grid({option: value})
    one_line(caught.value)


def test_sane_options_are_still_grids() -> None:
    """Bounds leave what people write: twenty ratios by a step, a whole range, many threads, large seeds."""
    assert len(make_grid({"ratios": "0.05:1.0:0.05"}).ratios) == 20
    assert make_grid({"ratios": [0, 1]}).ratios == (0.0, 1.0)
    assert make_grid({"ratios": "0"}).ratios == (0.0,)
    assert make_grid({"threads": "1,64"}).threads == (1, 64)
    assert make_grid({"threads": 0}).threads == (0,)
    assert make_grid({"train.seed": 2**32 - 1}).train.seed == 2**32 - 1
    assert make_grid({"batch_sizes": 4096}).batch_sizes == (4096,)


@pytest.mark.parametrize(
    "arguments",
    [
        "plan --image 99999999x99999999x99999999",
        "plan --image 3x9999x9999",
        "plan --image ²x3x3",
        f"plan --image {'9' * 5000}x1x1",
        "plan --image 0x3x3",
        "plan --classes 1000000000000",
        "plan --round-to 1000000000000",
        f"plan --round-to {'9' * 5000}",
        "plan --ratios 0:1e999999:1e-999999",
        "prepare --seed 18446744073709551616",
        "prepare --seed -1",
        f"prepare --seed {'9' * 5000}",
        "prepare --ratios nan",
        "prepare --grid /dev/zero",
        f"prepare --grid {'x' * 5000}",
        "prepare --dataset folder:~nouser/x --model resnet18 --ratios 0.5",
        "selftest latency --threads 1000000000",
        "selftest latency --trials 1000000000000",
        "selftest latency --from-json /dev/zero",
        "gate /dev/zero /dev/zero",
        "report /dev/zero",
    ],
)
def test_commands_end_in_one_line(arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extreme options end each command as a user's mistake, before it has done anything."""
    monkeypatch.setenv("PRUNING_BENCH_STORE", str(tmp_path / "store"))
    result = CliRunner().invoke(cli, arguments.split(" "))
    if isinstance(result.exception, SystemExit):
        assert result.exit_code == 2
        assert "Traceback" not in result.output
    else:
        assert isinstance(result.exception, OptionError | DatasetError | RecordError), result.exception
        one_line(result.exception)


def test_a_home_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A folder of images below the home of nobody is a mistake of the user's."""
    with pytest.raises(DatasetError, match="no user of that name"):
        load_dataset("folder:~no-such-user/x")
    with pytest.raises(DatasetError, match="no user of that name"):
        load_dataset("cifar10", data_root=Path("~no-such-user/x"))


def test_a_grid_of_a_name_that_cannot_be_is_unknown(tmp_path: Path) -> None:
    """Names that no file can have are as unknown as others."""
    for name in ("x" * 100_000, "a\0b", ""):
        with pytest.raises(OptionError, match="no grid") as caught:
            find_grid(name, tmp_path)
        one_line(caught.value)


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, entries, rounds, layers and what the slow reader would make of them are each bounded."""
    path = factory.write(small_run(), tmp_path / "run.json")
    for module, name, limit, words in (
        (run_json, "MAX_BYTES", 1000, "larger than"),
        (run_json, "MAX_ENTRIES", 1, "more than 1 entries"),
        (run_json, "_MAX_ENTRY_BYTES", 100, "entry 0 is larger"),
        (run_json, "_MAX_INFO_BYTES", 10, "machine_info is larger"),
        (run, "MAX_ROUNDS_IN_FILE", 10, "more than can be read"),
        (run, "MAX_LAYERS_IN_FILE", 3, "more than can be read"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, limit)
            with pytest.raises(RecordError, match=words):
                run.read_run(path)
    path.write_text(path.read_text().replace("360", "NaN", 1))
    monkeypatch.setattr(input, "MAX_JSON_MEMORY_BYTES", 1000)
    with pytest.raises(RecordError, match="GB of memory"):
        run.read_run(path)


@pytest.mark.parametrize(
    "change",
    [
        {"slowdown": float("nan")},
        {"slowdown": -1.0},
        {"slowdown": "x"},
        {"slowdown_low": 1e9},
        {"rounds": 10**400},
        {"rounds": True},
        {"seconds": float("inf")},
        {"setting": None},
        {"other": 1},
    ],
)
def test_trials_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """A self-test's file with a number that no trial gives is refused in one line."""
    content = json.loads((published_run("selftest-latency")).read_text())
    content["trials"][3] |= change
    path = tmp_path / "trials.json"
    path.write_text(json.dumps(content))
    with pytest.raises(OptionError, match="is no file of") as caught:
        read_summary(path)
    one_line(caught.value)
    assert read_summary(published_run("selftest-latency"))
