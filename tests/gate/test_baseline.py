"""Accepting a baseline: only a run that can be trusted, and nothing is lost."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from pruning_core.errors import OptionError, RecordError
from pruning_core.gate.baseline import accept_baseline
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import COST, LAT, setting, small_run, without_cell


def written(folder: Path, name: str, content) -> Path:
    """Write a run."""
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_the_first_baseline_is_the_file_itself(tmp_path: Path) -> None:
    """Where there is none, the run becomes the baseline, byte for byte."""
    new = written(tmp_path, "new.json", small_run())
    said = accept_baseline(new, tmp_path / "baseline.json")
    assert (tmp_path / "baseline.json").read_bytes() == new.read_bytes()
    assert "10 cells" in said
    assert not (tmp_path / "baseline.history").exists()


def test_every_baseline_before_is_kept(tmp_path: Path) -> None:
    """Each one replaced lies in the history under a name of its own, also those of one second and commit."""
    texts = []
    for number in range(3):
        content = small_run()
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


def test_a_link_to_the_baseline_stays(tmp_path: Path) -> None:
    """What it leads to is replaced, and the one before lies beside that."""
    (tmp_path / "shared").mkdir()
    real = written(tmp_path / "shared", "baseline.json", small_run())
    link = tmp_path / "baseline.json"
    link.symlink_to(real)
    before, new = real.read_bytes(), written(tmp_path, "new.json", small_run(seed=1))
    accept_baseline(new, link)
    assert link.is_symlink()
    assert real.read_bytes() == new.read_bytes()
    (kept,) = (tmp_path / "shared" / "baseline.history").iterdir()
    assert kept.read_bytes() == before


def test_a_baseline_kept_already_is_not_kept_twice(tmp_path: Path) -> None:
    """An acceptance that was interrupted after keeping the old one is done again without a second copy."""
    baseline = written(tmp_path, "baseline.json", small_run())
    before = baseline.read_bytes()
    new = written(tmp_path, "new.json", small_run(seed=1))
    said = accept_baseline(new, baseline)
    baseline.write_bytes(before)
    assert accept_baseline(new, baseline) == said
    (kept,) = (tmp_path / "baseline.history").iterdir()
    assert said.endswith(f"; the one before is {kept}")


def test_a_baseline_without_date_and_commit_is_kept_too(tmp_path: Path) -> None:
    """The file in the history says that they are not known."""
    content = small_run()
    content["datetime"] = ""
    content["commit_info"] = {}
    baseline = written(tmp_path, "baseline.json", content)
    accept_baseline(written(tmp_path, "new.json", small_run(seed=1)), baseline)
    (kept,) = (tmp_path / "baseline.history").iterdir()
    assert kept.name == "undated-no-commit.json"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting(LAT, contaminated=True), "its A/A control left the tolerance"),
        (setting(LAT, contaminated=True, contention="other processes used 38 % of the cores"), "38 %"),
        (setting(COST, status="failed"), "has failed cells: cost/"),
        (without_cell(LAT), "lacks cells of the baseline: latency/.*--allow-missing"),
    ],
)
def test_a_run_that_cannot_be_trusted_is_refused(tmp_path: Path, change, words: str) -> None:
    """A contaminated, failed or incomplete run leaves the baseline and its history as they were."""
    baseline = written(tmp_path, "baseline.json", small_run())
    before = baseline.read_bytes()
    content = small_run(seed=1)
    change(content)
    with pytest.raises(RecordError, match=words):
        accept_baseline(written(tmp_path, "new.json", content), baseline)
    assert baseline.read_bytes() == before
    assert not (tmp_path / "baseline.history").exists()


def test_missing_cells_can_be_accepted(tmp_path: Path) -> None:
    """Who drops a cell on purpose says so."""
    baseline = written(tmp_path, "baseline.json", small_run())
    content = small_run()
    factory.remove(content, LAT)
    accept_baseline(written(tmp_path, "new.json", content), baseline, allow_missing=True)
    assert json.loads(baseline.read_text()) == content


def test_a_history_that_cannot_be_written_loses_nothing(tmp_path: Path) -> None:
    """If the old baseline cannot be kept, it is not replaced."""
    baseline = written(tmp_path, "baseline.json", small_run())
    (tmp_path / "baseline.history").write_text("in the way")
    with pytest.raises(OptionError, match="cannot keep the old baseline"):
        accept_baseline(written(tmp_path, "new.json", small_run(seed=1)), baseline)
    assert json.loads(baseline.read_text()) == small_run()


def accept_in_process(new: Path, baseline: Path) -> None:
    """Accept a baseline; run by other processes."""
    accept_baseline(new, baseline)


def accept_and_say(new: Path, baseline: Path, started: Any) -> None:
    """Accept a baseline; say before that it begins."""
    started.set()
    accept_baseline(new, baseline)


def run_of_commit(folder: Path, number: int) -> Path:
    """Write a run of a commit and a day of its own."""
    content = small_run(seed=number)
    content["commit_info"]["id"] = f"{number:x}" * 40
    return written(folder, f"run-{number}.json", content)


def test_acceptances_at_once_come_one_after_the_other(tmp_path: Path) -> None:
    """Of eight at once each becomes the baseline, and seven lie in the history under their own commits."""
    baseline = tmp_path / "baseline.json"
    runs = [run_of_commit(tmp_path, number) for number in range(8)]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=accept_in_process, args=(run, baseline)) for run in runs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    kept = list((tmp_path / "baseline.history").iterdir())
    assert len(kept) == 7
    for path in kept:
        assert json.loads(path.read_text())["commit_info"]["id"][:12] in path.name
    texts = sorted(path.read_text() for path in [*kept, baseline])
    assert texts == sorted(run.read_text() for run in runs)


def test_an_acceptance_that_is_killed_leaves_one_whole_baseline(tmp_path: Path) -> None:
    """Killed at any moment, it leaves the old baseline or the new one, and the next acceptance works."""
    old, new = run_of_commit(tmp_path, 1), run_of_commit(tmp_path, 2)
    baseline = tmp_path / "baseline.json"
    accept_baseline(old, baseline)
    context = multiprocessing.get_context("spawn")
    for number in range(8):
        started = context.Event()
        process = context.Process(target=accept_and_say, args=(new, baseline, started))
        process.start()
        started.wait()
        process.join(timeout=0.004 * number)
        process.kill()
        process.join()
        assert baseline.read_bytes() in (old.read_bytes(), new.read_bytes())
        for path in (tmp_path / "baseline.history").glob("*.json"):
            assert path.read_bytes() in (old.read_bytes(), new.read_bytes())
        accept_baseline(old, baseline)
        assert baseline.read_bytes() == old.read_bytes()


def test_an_acceptance_waits_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process does not come to an end, waiting does, in one line; nothing is replaced."""
    baseline = written(tmp_path, "baseline.json", small_run())
    before = baseline.read_bytes()
    monkeypatch.setattr("pruning_core.files.locking.MAX_WAIT_S", 0.05)
    with (
        FileLock(tmp_path / ".baseline.json.lock"),
        pytest.raises(OptionError, match="another process has been accepting"),
    ):
        accept_baseline(run_of_commit(tmp_path, 1), baseline)
    assert baseline.read_bytes() == before
