"""Several folders of images in one grid, from the run to the gate; and what a file says of them."""

import getpass
import json
import platform
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

# pytester forgets what is first imported inside a test, and compiled libraries cannot be imported twice.
import sklearn.datasets  # noqa: F401
from PIL import Image

import pruning_core.backends.eager
import pruning_core.suites.harness
import pruning_core.suites.validate
import pruning_core.system.machine
import pruning_core.system.roofline
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.writers import render
from tests.helpers.factories import write_user_model
from tests.helpers.plugin_run import SHORT_LATENCY

ROOT = Path(__file__).parents[2]
GRID = f"""
ratios = [0.5]
batch_sizes = 1
threads = 1
[train]
epochs = 1
precision = "fp32"
[fine_tune]
epochs = 0
precision = "fp32"
{SHORT_LATENCY}"""
HEAD = "folder_nets-tiny_model"


def write_folder(folder: Path, seed: int) -> None:
    """Write two classes of random pictures, bright ones and dark ones."""
    random = np.random.RandomState(seed)
    for split in ("train", "test"):
        for name, light in (("bright", 128), ("dark", 0)):
            (folder / split / name).mkdir(parents=True)
            for number in range(8):
                pixels = (random.randint(0, 128, (16, 16, 3)) + light).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")


@pytest.fixture
def suites(pytester, monkeypatch):
    """Lay suites, a user's model and three folders into a project; return a function that runs them."""
    shutil.copytree(ROOT / "bench", pytester.path / "bench")
    pytester.makeconftest('pytest_plugins = ["pruning_core.pytest_plugin"]')
    (pytester.path / "bench" / "thresholds.toml").write_text("")
    (pytester.path / "bench" / "grids" / "quick.toml").write_text(GRID)
    for seed, name in enumerate(("fa/parts", "fb/parts", "fb/other")):
        write_folder(pytester.path / name, seed)
    monkeypatch.syspath_prepend(str(pytester.path))
    monkeypatch.setattr(pruning_core.system.roofline, "REPEAT_S", 1e-3)
    model = write_user_model(pytester.path, "folder_nets")

    def run(datasets, output, *arguments):
        return pytester.runpytest_inprocess(
            "bench",
            "--store=store",
            f"--model={model}",
            f"--dataset={datasets}",
            f"--benchmark-json={output}",
            "-pno:randomly",
            "-pno:cacheprovider",
            *arguments,
        )

    return run


@pytest.mark.parametrize(
    ("datasets", "names", "said"),
    [
        ("folder:fa/parts,folder:fb/other", ("folder-parts", "folder-other"), 0),
        ("folder:fa/parts,folder:fb/parts", ("folder-parts", "folder-parts-2"), 1),
        ("folder:{}/fa/parts/,folder:./fb/parts", ("folder-parts", "folder-parts-2"), 1),
    ],
)
def test_each_folder_has_cells_tables_and_verdicts(suites, pytester, capsys, datasets, names, said):
    """Two folders of one grid are told apart from the cell to the verdict, whatever they are called."""
    datasets = datasets.format(pytester.path)
    for output in ("a.json", "b.json"):
        result = suites(datasets, output, "-k", "not training")
        result.assert_outcomes(passed=2 * (2 + 2 + 2))
        lines = [line for line in capsys.readouterr().err.splitlines() if "told apart" in line]
        assert len(lines) == said
        assert all(name in line for line in lines for name in names)
    runs = [read_run(pytester.path / name) for name in ("a.json", "b.json")]
    for run in runs:
        assert len({(r["suite"], r["cell"]) for r in run.records}) == len(run.records) == 12
        assert {r["dataset"] for r in run.records} == set(names)
        assert len({(r["dataset"], r["dataset_fingerprint"]) for r in run.records}) == 2
        assert len({r["key"] for r in run.records}) == 4
        assert {f"{HEAD}-{name}-magnitude-0.5" for name in names} < {r["cell"] for r in run.records}
    titles = [table.title for table in build_report(runs[:1]).tables]
    for name in names:
        assert sum(f"on {name}, magnitude, cpu" in title for title in titles) == 2  # and efficiency
    result = compare(runs[0], runs[1], Policy())
    assert len([cell for cell in result.cells if cell.suite != "backend"]) == 12
    words = ("stands", "missing", "differs", "Renamed")  # a busy machine's times may be refused for that
    assert [cell for cell in result.cells if any(word in cell.reason for word in words)] == []
    assert {cell.verdict for cell in result.cells if cell.suite == "cost"} == {"pass"}


def test_one_of_two_folders_is_compared_with_both(suites, pytester):
    """A folder is called the same beside another one and alone."""
    suites("folder:fb/other,folder:fa/parts", "a.json", "-k", "cost")
    suites("folder:fa/parts", "b.json", "-k", "cost")
    both, alone = (read_run(pytester.path / name) for name in ("a.json", "b.json"))
    verdicts = {cell.cell: cell.verdict for cell in compare(both, alone, Policy()).cells}
    assert verdicts[f"{HEAD}-folder-parts-dense"] == verdicts[f"{HEAD}-folder-parts-magnitude-0.5"] == "pass"


def test_what_to_know_of_a_folder_is_said(suites, pytester, capsys):
    """What is left aside is said in one line, once in a run, though pytest keeps what tests print."""
    (pytester.path / "fa" / "parts" / "train" / "dark" / "loop").symlink_to("..")
    suites("folder:fa/parts", "a.json", "-k", "cost").assert_outcomes(passed=2)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dataset folder:")]
    assert len(lines) == 1
    assert "1 left aside" in lines[0]
    assert lines[0].endswith("train/dark/loop")


def test_files_hold_names_only(suites, pytester):
    """No path, user or host name stands in the JSON; what is no commit is not shown as one."""
    # Written once more as a baseline of pytest-benchmark's own.
    result = suites(f"folder:{pytester.path}/fa/parts", "a.json", "--benchmark-autosave")
    result.assert_outcomes(passed=2 + 2 + 2 + 1)
    (saved,) = (pytester.path / ".benchmarks").glob("*/*.json")
    for file in (pytester.path / "a.json", saved):
        text = file.read_text()
        content = json.loads(text)
        assert "UNSERIALIZABLE" not in text
        assert str(pytester.path) not in text
        assert not re.search(r'"[^"]*(?<![\w.])/(tmp|home|root|work)/', text)
        assert content["machine_info"]["node"] == ""
        assert [e["params"] for e in content["benchmarks"]] == [
            {next(iter(e["params"])): e["param"]} for e in content["benchmarks"]
        ]
    run = read_run(pytester.path / "a.json")
    assert run.commit == ""
    assert "unversion" not in render(build_report([run]), "markdown")
    assert platform.node() not in {v for v in content["machine_info"].values() if isinstance(v, str)}
    assert getpass.getuser() not in {v for v in content["machine_info"].values() if isinstance(v, str)}


def test_a_failure_is_told_without_paths(suites, pytester):
    """What a failed assertion says is kept in the file, its paths as names."""
    (pytester.path / "bench" / "test_cost.py").write_text(
        "from pruning_core.pytest_plugin import record_samples\n\n\n"
        "def test_mine(harness, variant, benchmark):\n"
        "    record_samples(benchmark, [1.0, 1.0], harness.cost_record(variant))\n"
        "    assert False, f'cannot read {__file__}'\n"
    )
    suites("folder:fa/parts", "a.json", "-k", "mine")
    failures = {r["failure"] for r in read_run(pytester.path / "a.json").records}
    assert failures == {"cannot read ./bench/test_cost.py"}


@pytest.mark.parametrize("other", ["folder:./fa/parts", "folder:fa/parts/", "folder:link"])
def test_one_folder_twice_is_refused(suites, pytester, other):
    """The same folder under two names is one dataset: a line says which two, before anything is trained."""
    (pytester.path / "link").symlink_to("fa/parts")
    result = suites(f"folder:fa/parts,{other}", "a.json")
    assert result.ret == 2
    text = "\n".join([*result.outlines, *result.errlines])
    assert f"error: dataset: folder:fa/parts and {other} are one folder" in text
    assert not (pytester.path / "store").exists()
