"""Ratios that were found are kept, by the question they answer."""

import pytest

from pruning_core.config.searched_grid import FoundRatio
from pruning_core.config.target_kinds import Target
from pruning_core.store import Store
from pruning_core.store.found_ratios import FoundRatios

QUESTION = {"machine": "m", "setting": {"backend": "eager", "batch_size": 1}, "inputs": [[1, 3, 32, 32]]}
TWO, FOUR = (Target("target_speedup", amount) for amount in (2.0, 4.0))


def found(target, ratio):
    """Return what might have been found."""
    return FoundRatio(target, "eager:fp32, batch 1", True, ratio, 2.0, 1.9, 2.1, "a neighbour")


@pytest.fixture
def kept(tmp_path):
    """Open the folder of a new store; its `said` are the lines it gave."""
    said = []
    ratios = FoundRatios(Store(tmp_path).root, said.append)
    ratios.said = said
    return ratios


def test_what_was_found_is_found_again_beside_other_targets(kept):
    """Targets are added to a question; a target that is found again is replaced."""
    assert kept.load(QUESTION) == {}
    kept.keep(QUESTION, [found(TWO, 0.3)])
    kept.keep(QUESTION, [found(FOUR, 0.5)])
    kept.keep(QUESTION, [found(TWO, 0.31)])
    assert kept.load(QUESTION) == {TWO: found(TWO, 0.31), FOUR: found(FOUR, 0.5)}
    assert kept.said == []


@pytest.mark.parametrize("change", [{"machine": "n"}, {"setting": {}}, {"library": "2"}])
def test_another_question_has_another_answer(kept, change):
    """A machine, a setting or a version that differs has nothing yet."""
    kept.keep(QUESTION, [found(TWO, 0.3)])
    assert kept.load({**QUESTION, **change}) == {}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"found": [{"ratio": 2}]}', '{"found": 3}', "[" * 100_000]
)
def test_a_damaged_file_counts_as_nothing_and_is_said(kept, tmp_path, content):
    """It is searched again, and the file replaced."""
    kept.keep(QUESTION, [found(TWO, 0.3)])
    (path,) = (tmp_path / "targets").glob("*.json")
    path.write_text(content)
    assert kept.load(QUESTION) == {}
    assert "searching again" in kept.said[0]
    kept.keep(QUESTION, [found(TWO, 0.4)])
    assert kept.load(QUESTION) == {TWO: found(TWO, 0.4)}


def test_what_cannot_be_written_is_said(kept, tmp_path):
    """The run goes on with what was found."""
    (tmp_path / "targets").write_text("a file")
    kept.keep(QUESTION, [found(TWO, 0.3)])
    assert "are not kept" in kept.said[-1]


def test_the_folder_is_no_checkpoint(kept, tmp_path):
    """A store lists and tidies checkpoints as before."""
    with kept.searching(QUESTION):
        kept.keep(QUESTION, [found(TWO, 0.3)])
    store = Store(tmp_path)
    assert list(store.stored_keys()) == []
    store.collect_garbage()
    assert kept.load(QUESTION) == {TWO: found(TWO, 0.3)}
