"""Targets of a grid become ratios: searched once, then taken from the store; said each time."""

import pytest

from pruning_core.backends import BACKENDS
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import latency_cells, variants
from pruning_core.config.grid import make_grid
from pruning_core.config.spec import key_of
from pruning_core.errors import OptionError, UnavailableError, UnknownNameError
from pruning_core.pipeline import ensure_variant
from pruning_core.suites import target_search
from pruning_core.suites.target_search import Search, search_grid
from pruning_core.suites.validate import validate_grid
from tests.helpers.factories import write_user_model
from tests.helpers.small_runs import open_workspace
from tests.helpers.target_times import NoisyTimer

SPEEDUPS = {"target_speedup": "1.5,3", "target_on": "openvino:int8", "target_batch_size": 1}


@pytest.fixture
def searched(tmp_path, monkeypatch, capsys):
    """Return a function that searches with made-up times in one store; it gives grid, timer and lines."""
    monkeypatch.syspath_prepend(str(tmp_path))
    model = write_user_model(tmp_path, "target_nets")
    monkeypatch.setattr(target_search, "check_available", lambda *_: None)

    def search(seed=0, again=False, contention="", **fields):
        asked = fields or SPEEDUPS
        grid = make_grid({"model": model, "round_to": 1, **asked})
        validate_grid(grid)
        workspace, timer = open_workspace(tmp_path), NoisyTimer(seed, contention=contention)
        found = search_grid(grid, workspace, Search(workspace.store.root, workspace.display, again, timer))
        lines = [line for line in capsys.readouterr().err.splitlines() if "done in" not in line]
        return found, timer, lines, workspace

    return search


def test_a_second_search_times_nothing_and_finds_the_same(searched):
    """Other noise would find other ratios, and all be trained again; a line says where they are from."""
    first, timer, lines, _ = searched()
    assert timer.sessions
    assert len(lines) == 2
    second, timer, lines, _ = searched(seed=7)
    assert timer.sessions == []
    assert second.ratios == first.ratios
    assert all("found before: --search-again" in line for line in lines)
    third, timer, lines, _ = searched(seed=7, again=True)
    assert timer.sessions
    assert not any("found before" in line for line in lines)
    assert searched()[0].ratios == third.ratios, "what was found again is what is kept"


def test_a_new_target_is_searched_beside_those_that_are_known(searched):
    """Of three targets only the new one is timed."""
    first, *_ = searched()
    second, timer, lines, _ = searched(**{**SPEEDUPS, "target_speedup": "1.5,2,3"})
    assert timer.sessions
    assert set(first.ratios) <= set(second.ratios)
    assert sorted("found before" in line for line in lines) == [False, True, True]


def test_another_setting_or_rounding_is_another_question(searched):
    """A batch size, a backend, a method's rounding: each is timed for itself."""
    searched()
    for change in ({"target_batch_size": 4}, {"target_on": "eager"}, {"round_to": 2}, {"protect": "stem"}):
        _, timer, _, _ = searched(**{**SPEEDUPS, **change})
        assert timer.sessions, change
    _, timer, _, _ = searched(**SPEEDUPS, schedule="one-shot")
    assert timer.sessions == [], "with local scope a shape does not depend on the way to it"


def test_the_key_of_a_checkpoint_holds_the_ratio_alone(searched):
    """A grid with the ratios that were found makes the same checkpoints as one with targets."""
    found, *_, workspace = searched()
    plain = make_grid({"model": found.model, "round_to": 1, "ratios": list(found.ratios)})
    of_targets, of_ratios = (
        [key_of(chain_specs(variant, grid, workspace)[-1]) for variant in variants(grid)]
        for grid in (found, plain)
    )
    assert of_targets == of_ratios
    assert len(of_ratios) == 3


def test_each_method_has_ratios_of_its_own(searched):
    """Ids and chains follow them; what a target is about is a latency cell."""
    found, *_ = searched(**SPEEDUPS, method="magnitude,random")
    assert {key[2] for key, _ in found.found} == {"magnitude", "random"}
    assert len(list(variants(found))) == 1 + sum(
        len(found.ratios_for(found.model[0], "digits", name)) for name in ("magnitude", "random")
    )
    assert ("openvino", "int8", 1) in {(c.backend, c.precision, c.batch_size) for c in latency_cells(found)}


def test_counts_need_no_backend(searched):
    """MACs are counted: nothing is timed, and the line says the ratio and what it gives."""
    found, timer, lines, _ = searched(target_macs="2x")
    assert timer.sessions == []
    assert lines[0].startswith("target_nets:tiny_model, magnitude: 2x fewer MACs: ratio ")
    assert found.ratios


def test_with_global_scope_counts_are_met_on_the_trained_dense_model(searched):
    """Its ratio is another one than with local scope; a checkpoint at it has about so many MACs."""
    fields = {"method": "lamp,random", "scope": "global", "schedule": "one-shot", "target_macs": "2x"}
    train = {"epochs": 2, "batch_size": 16, "precision": "fp32"}
    found, timer, _, workspace = searched(**fields, train=train, fine_tune=train)
    assert timer.sessions == []
    lamp = [variant for variant in variants(found) if variant.method == "lamp"]
    dense, pruned = (ensure_variant(v, found, workspace) for v in (lamp[0].dense, lamp[0]))
    assert dense.metrics.macs / pruned.metrics.macs == pytest.approx(2, rel=0.1)
    of_random = found.ratios_for(lamp[0].model, "digits", "random")
    assert found.ratios_for(lamp[0].model, "digits", "lamp") != of_random


def test_controls_have_the_ratios_of_what_they_are_controls_of(searched):
    """`scratch` those of its method; `dense+` those of the first method; `thin` its own, the same."""
    methods = "magnitude,scratch:magnitude,scratch:random,thin,dense+"
    found, *_ = searched(target_macs="2x", method=methods)
    model = found.model[0]
    expected = found.ratios_for(model, "digits", "magnitude")
    assert len(expected) == 1
    assert all(found.ratios_for(model, "digits", name) == expected for name in methods.split(","))
    assert found.found_for(model, "digits", "scratch:random") == found.found_for(model, "digits", "random")
    alone, *_ = searched(target_macs="2x", method="thin,dense+")
    assert (
        alone.ratios_for(model, "digits", "dense+") == alone.ratios_for(model, "digits", "thin") == expected
    )
    with pytest.raises(OptionError, match=r"dense\+ removes nothing; name a method"):
        searched(target_macs="2x", method="dense+")


def test_methods_of_one_shape_are_timed_once(searched):
    """Local methods cut to the same widths: one search answers all, so that they stay equal."""
    found, timer, _, _ = searched(**SPEEDUPS, method="magnitude")
    sessions = len(timer.sessions)
    found, timer, _, _ = searched(**SPEEDUPS, method="magnitude,random,taylor,thin,scratch:random")
    assert (sessions > 0, timer.sessions) == (True, [])
    assert len({found.ratios_for(found.model[0], "digits", name) for name in found.method}) == 1
    _, timer, _, _ = searched(**SPEEDUPS, method="magnitude", again=True)
    sessions = len(timer.sessions)
    found, timer, _, _ = searched(**SPEEDUPS, method="magnitude,random,taylor", again=True)
    assert len(timer.sessions) == sessions, "nor does looking again part them"
    assert len({found.ratios_for(found.model[0], "digits", name) for name in found.method}) == 1


def test_what_cannot_be_met_says_what_can(searched):
    """One of two is out of reach: the other is made. None in reach: an error that says what comes nearest."""
    found, _, lines, _ = searched(**{**SPEEDUPS, "target_speedup": "2,400"})
    assert len(found.ratios) == 1
    assert "400x on openvino:int8, batch 1 is out of reach: ratio 0.9" in lines[1]
    with pytest.raises(OptionError, match=r"no target can be met.*\n.*500x on openvino:int8, batch 1 is out"):
        searched(**{**SPEEDUPS, "target_speedup": "500"})


def test_a_busy_machine_is_said_each_time(searched):
    """Also where the ratio is taken from the store: it may be a little off."""
    for _ in range(2):
        _, _, lines, _ = searched(contention="other processes used 80 % of the cores")
        assert all("other processes used 80 %" in line for line in lines)


def test_a_damaged_store_of_ratios_is_searched_again(searched, tmp_path):
    """What cannot be read is said and found again."""
    searched()
    for path in (tmp_path / "store" / "targets").glob("*.json"):
        path.write_text("{")
    _, timer, lines, _ = searched()
    assert timer.sessions
    assert "searching again" in lines[0]


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"scope": "global"}, OptionError, "targets of time need local scope"),
        ({"method": "unstructured-l1"}, OptionError, "unstructured-l1 keeps every width"),
        ({"method": "magnitude,ln-structured"}, OptionError, "ln-structured keeps every width"),
        ({"target_on": "openvin"}, UnknownNameError, "Did you mean 'openvino'"),
        ({"target_on": "eager:int8"}, OptionError, "has no precision 'int8'"),
        ({"devices": "cpu,cuda"}, OptionError, "devices: a target of time is met on one of them"),
        ({"threads": "1,2"}, OptionError, "threads: a target of time is met on one of them"),
    ],
)
def test_what_no_ratio_answers_is_refused_before_anything_is_built(fields, error, said):
    """Each in a line that says what to do."""
    grid = make_grid({**SPEEDUPS, **fields})
    with pytest.raises(error) as raised:
        validate_grid(grid)
    assert said in str(raised.value)


def test_a_backend_that_is_not_here_is_said_before_anything_is_pruned(tmp_path, monkeypatch):
    """It is one line, and nothing was timed."""
    backend = type(BACKENDS["onnxruntime"])
    monkeypatch.setattr(backend, "unavailable_reason", lambda *_: "not installed")
    grid = make_grid({"target_speedup": 2, "target_on": "onnxruntime"})
    workspace, timer = open_workspace(tmp_path), NoisyTimer()
    with pytest.raises(UnavailableError, match="backend onnxruntime:fp32 cannot run on cpu here: not"):
        search_grid(grid, workspace, Search(workspace.store.root, workspace.display, time=timer))
    assert timer.sessions == []
