"""Accepting a baseline: only a run that can be trusted, and nothing is lost."""

import json
from pathlib import Path

import pytest
import record_factory as factory
from gate_changes import COST, LAT, setting, small, without

from pruning_core.baseline import accept_baseline
from pruning_core.errors import OptionError, RecordError


def written(folder: Path, name: str, content) -> Path:
    """Write a run."""
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_the_first_baseline_is_the_file_itself(tmp_path: Path) -> None:
    """Where there is none, the run becomes the baseline, byte for byte."""
    new = written(tmp_path, "new.json", small())
    said = accept_baseline(new, tmp_path / "baseline.json")
    assert (tmp_path / "baseline.json").read_bytes() == new.read_bytes()
    assert "10 cells" in said
    assert not (tmp_path / "baseline.history").exists()


def test_every_baseline_before_is_kept(tmp_path: Path) -> None:
    """Each one replaced lies in the history under a name of its own, also those of one second and commit."""
    texts = []
    for number in range(3):
        content = small()
        content["number"] = number
        new = written(tmp_path, "new.json", content)
        texts.append(new.read_text())
        accept_baseline(new, tmp_path / "baseline.json")
    kept = sorted((tmp_path / "baseline.history").iterdir())
    assert [path.name for path in kept] == [
        "2026-01-01T120000-0123456789ab-2.json",
        "2026-01-01T120000-0123456789ab.json",
    ]
    assert {path.read_text() for path in kept} == set(texts[:2])
    assert (tmp_path / "baseline.json").read_text() == texts[2]


def test_a_baseline_kept_already_is_not_kept_twice(tmp_path: Path) -> None:
    """An acceptance that was interrupted after keeping the old one is done again without a second copy."""
    baseline = written(tmp_path, "baseline.json", small())
    before = baseline.read_bytes()
    new = written(tmp_path, "new.json", small(seed=1))
    said = accept_baseline(new, baseline)
    baseline.write_bytes(before)
    assert accept_baseline(new, baseline) == said
    (kept,) = (tmp_path / "baseline.history").iterdir()
    assert said.endswith(f"; the one before is {kept}")


def test_a_baseline_without_date_and_commit_is_kept_too(tmp_path: Path) -> None:
    """The file in the history says that they are not known."""
    content = small()
    content["datetime"] = ""
    content["commit_info"] = {}
    baseline = written(tmp_path, "baseline.json", content)
    accept_baseline(written(tmp_path, "new.json", small(seed=1)), baseline)
    (kept,) = (tmp_path / "baseline.history").iterdir()
    assert kept.name == "undated-no-commit.json"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting(LAT, contaminated=True), "its A/A control left the tolerance"),
        (setting(LAT, contaminated=True, disturbance="other processes used 38 % of the cores"), "38 %"),
        (setting(COST, status="failed"), "has failed cells: cost/"),
        (without(LAT), "lacks cells of the baseline: latency/.*--allow-missing"),
    ],
)
def test_a_run_that_cannot_be_trusted_is_refused(tmp_path: Path, change, words: str) -> None:
    """A contaminated, failed or incomplete run leaves the baseline and its history as they were."""
    baseline = written(tmp_path, "baseline.json", small())
    before = baseline.read_bytes()
    content = small(seed=1)
    change(content)
    with pytest.raises(RecordError, match=words):
        accept_baseline(written(tmp_path, "new.json", content), baseline)
    assert baseline.read_bytes() == before
    assert not (tmp_path / "baseline.history").exists()


def test_missing_cells_can_be_accepted(tmp_path: Path) -> None:
    """Who drops a cell on purpose says so."""
    baseline = written(tmp_path, "baseline.json", small())
    content = small()
    factory.remove(content, LAT)
    accept_baseline(written(tmp_path, "new.json", content), baseline, allow_missing=True)
    assert json.loads(baseline.read_text()) == content


def test_a_history_that_cannot_be_written_loses_nothing(tmp_path: Path) -> None:
    """If the old baseline cannot be kept, it is not replaced."""
    baseline = written(tmp_path, "baseline.json", small())
    (tmp_path / "baseline.history").write_text("in the way")
    with pytest.raises(OptionError, match="cannot keep the old baseline"):
        accept_baseline(written(tmp_path, "new.json", small(seed=1)), baseline)
    assert json.loads(baseline.read_text()) == small()
