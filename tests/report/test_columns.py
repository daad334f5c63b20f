"""The tutorial's columns, the table of training steps, and the spread over seeds."""

import math
from pathlib import Path

import pytest

from pruning_core.cli import main
from pruning_core.errors import OptionError
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.records.run import Run, read_run
from pruning_core.report.build import build_report
from pruning_core.report.command import write_report
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.made_up_records import rounds_fields
from tests.helpers.results import published_run

TRAINING = {
    "schema_version": 3, "suite": "training", "cell": "resnet18-digits-dense-training", "status": "ok",
    "failure": "", "model": "resnet18", "dataset": "digits", "method": "dense", "ratio": 0.0, "key": "k" * 32,
    "device": "cpu", "threads": 2, "train_precision": "bf16", "batch_size": 128, "step_ms": 640.0,
    "images_per_s": 200.0, "reference": "baseline loop", "reference_images_per_s": 50.0, "data_share": 0.004,
    **rounds_fields(factory.rounds_within(3.9, 16 / 3.9)), "is_control": False, "contaminated": False,
    "contention": "", "roofline_fraction": 0.8,
}  # fmt: skip


def training_run(folder: Path, name: str = "new.json", **changes: object) -> Run:
    """Write a run that has a training record beside others, and read it."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",), rounds=20)
    entry = {**content["benchmarks"][0], "name": "test_training", "extra_info": {**TRAINING, **changes}}
    content["benchmarks"].append(entry)
    return factory.as_run(content, folder, name)


def test_the_tutorials_columns() -> None:
    """Ratio, MACs in G, parameters in M, latency with spread, both accuracies; nothing else."""
    (table,) = build_report([read_run(published_run("quick"))], "tutorial").tables
    assert [c.header for c in table.columns] == [
        "ratio", "MACs (G)", "params (M)", "latency (ms)", "±", "accuracy pruned (%)", "fine-tuned (%)",
    ]  # fmt: skip
    text = render(build_report([read_run(published_run("quick"))], "tutorial"), "markdown")
    row = next(line for line in text.splitlines() if line.lstrip("| ").startswith("0.75"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:3] == ["0.04", "0.70"]
    assert table.rows[0]["accuracy_pruned"] is None  # dense: nothing was pruned


def test_the_tutorials_columns_are_for_people(tmp_path: Path) -> None:
    """CSV and JSON hold every field anyway: asking for columns there is an error."""
    with pytest.raises(OptionError, match="--columns tutorial is for"):
        write_report([published_run("quick")], "csv", tmp_path / "out.csv", columns="tutorial")


def test_training_has_a_table_of_its_own(tmp_path: Path) -> None:
    """Training steps stand in one table, and add neither rows nor batch sizes to the others."""
    with_training = build_report([training_run(tmp_path)])
    without = build_report(
        [
            factory.as_run(
                factory.make_content(ratios=(0.5,), backends=("eager:fp32",), rounds=20),
                tmp_path,
                "plain.json",
            )
        ]
    )
    table = next(t for t in with_training.tables if t.title.startswith("training steps"))
    (row,) = table.rows
    assert (row["images_per_s"], row["reference_images_per_s"]) == (200.0, 50.0)
    others = [t for t in with_training.tables if t is not table]
    assert [[c.header for c in t.columns] for t in others] == [
        [c.header for c in t.columns] for t in without.tables
    ]
    assert "4.00 [3.90–4.10]" in render(with_training, "markdown")


@pytest.mark.parametrize(("slower", "verdict"), [(0.0, "pass"), (0.3, "regressed")])
def test_the_gate_judges_training_steps(tmp_path: Path, slower: float, verdict: str) -> None:
    """Steps that are slower beside the baseline loop than before are a regression, as a latency would be."""
    values = [-math.log(4) + slower + 1e-3 * i for i in range(-9, 11)]
    steady = [-math.log(4) + 1e-3 * i for i in range(-9, 11)]

    def with_values(name: str, ratios: list[float]) -> Run:
        return training_run(tmp_path, name, **rounds_fields(ratios))

    result = compare(with_values("a.json", steady), with_values("b.json", values), Policy())
    (found,) = [cell for cell in result.cells if cell.suite == "training"]
    assert found.verdict == verdict, found.reason


def seed_run(folder: Path, seed: int, right: int) -> Run:
    """Write a run whose pruned network, trained from a seed, has so many predictions correct."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",), suites=("accuracy",))
    for entry in content["benchmarks"]:
        entry["extra_info"]["seed"] = seed
        if entry["extra_info"]["ratio"]:
            factory.set_right(entry["extra_info"], right)
    return factory.as_run(content, folder, f"seed{seed}-{right}.json")


def test_several_seeds_have_a_table_of_their_spread(tmp_path: Path) -> None:
    """Mean, deviation and range are over seeds, each counted once, at each ratio."""
    runs = [seed_run(tmp_path, seed, right) for seed, right in ((0, 340), (1, 346), (2, 352))]
    runs.append(seed_run(tmp_path, 2, 100))  # the same seed once more: not another draw
    (table,) = [t for t in build_report(runs).tables if t.title.startswith("over seeds")]
    dense, half = table.rows
    assert (half["ratio"], half["seeds"]) == (0.5, 3)
    assert half["mean"] == pytest.approx(346 / 360)
    assert half["deviation"] == pytest.approx(6 / 360)
    assert (half["lowest"], half["highest"]) == (340 / 360, 352 / 360)
    assert dense["deviation"] == 0


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    """Files of one seed give no such table."""
    runs = [seed_run(tmp_path, 0, 340), seed_run(tmp_path, 0, 341)]
    assert not any(t.title.startswith("over seeds") for t in build_report(runs).tables)


def test_a_dataset_is_shown_under_its_title(tmp_path: Path) -> None:
    """Every table and the page say it, with the gate's verdicts or without."""
    paths = [factory.write(factory.make_content(seed=seed), tmp_path / f"{seed}.json") for seed in (0, 1)]
    title = {"digits": "Digits, enlarged"}
    write_report(paths, "markdown", tmp_path / "t.md", dataset_titles=title)
    text = (tmp_path / "t.md").read_text()
    assert "resnet18 on Digits, enlarged, magnitude" in text
    assert "digits" not in text
    for baseline in (None, paths[0]):
        write_report(paths[1:], "html", tmp_path / "t.html", baseline, dataset_titles=title)
        assert "resnet18 on Digits, enlarged" in (tmp_path / "t.html").read_text()


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("folder=CIFAR-10", "no dataset 'folder' in these files; there: digits"),
        ("digits", "give it as NAME=TITLE"),
        ("=CIFAR-10", "give it as NAME=TITLE"),
        ("digits= ", "give it as NAME=TITLE"),
    ],
)
def test_a_title_that_cannot_be_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    title: str,
    message: str,
) -> None:
    """A name that is not there would leave the old one standing without a word."""
    path = factory.write(factory.make_content(), tmp_path / "a.json")
    monkeypatch.setattr("sys.argv", ["pruning-bench", "report", str(path), "--dataset-title", title])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("format", ["csv", "json"])
def test_titles_are_for_people(tmp_path: Path, format: str) -> None:
    """What programs read keeps the name by which records are joined."""
    with pytest.raises(OptionError, match="--dataset-title is for people"):
        write_report([published_run("quick")], format, tmp_path / "out", dataset_titles={"digits": "D"})
