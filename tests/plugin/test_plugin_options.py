"""What is asked of the suites on the command line: axes, layers, seeds, backends, targets."""

from functools import partial

import pytest

import pruning_core.backends.eager
import pruning_core.shapes.targets
import pruning_core.suites.harness
import pruning_core.suites.validate
import pruning_core.system.machine
import pruning_core.system.roofline
from pruning_core.backends import BACKENDS
from pruning_core.measure.interleaved import measure_interleaved
from pruning_core.suites import latency_session
from tests.helpers.plugin_run import GRID, records
from tests.helpers.target_times import NoisyTimer
from tests.helpers.timed_machine import Machine


def test_precision_is_asked_for_on_the_command_line(suites, pytester, monkeypatch):
    """Rounds grow until the interval is narrower than --target-error, or as many as allowed are done."""
    machine = Machine(noise=0.3)
    tick = machine.model("tick", 1e-3)

    def clock():  # whatever a call takes on this machine
        tick()
        return machine.now

    monkeypatch.setattr(latency_session, "measure_interleaved", partial(measure_interleaved, clock=clock))
    grid = pytester.path / "bench" / "grids" / "quick.toml"
    grid.write_text(GRID.replace("max_rounds = 5", "max_rounds = 40"))
    # On one thread, where no round is rejected for the state of the machine.
    asked = ("-k", "latency", "--batch-sizes=1", "--backends=eager", "--ratios=0.5", "--threads=1")
    suites(*asked, "--target-error=0.9999")
    assert {(r["rounds"], r["looks"]) for r in records(pytester)} == {(10, 4)}
    suites(*asked, "--target-error=0.00001")
    assert {(r["rounds"], r["looks"]) for r in records(pytester)} == {(40, 4)}


def test_a_scope_is_asked_for_on_the_command_line(suites, pytester):
    """--scope brings methods within reach that rank over all layers together; the records say so."""
    suites("-k", "cost and not dense", "--method=lamp", "--scope=global")
    assert {(r["method"], r["scope"]) for r in records(pytester)} == {("lamp", "global")}


def test_a_limit_of_layers_is_asked_for_on_the_command_line(suites, pytester):
    """--max-ratio makes another checkpoint, of layers that lose less; the records say which, or nothing."""
    asked = ("-k", "cost and not dense", "--method=magnitude", "--scope=isomorphic", "--ratios=linear:0.5:1")
    found = []
    for options in ((), ("--max-ratio=0.5",), ("--max-ratio=1",)):
        suites(*asked, *options)
        (record,) = records(pytester)
        found.append((record["scope"], record.get("max_ratio"), record["key"]))
    assert [entry[:2] for entry in found] == [("isomorphic", limit) for limit in (None, 0.5, None)]
    assert found[0] == found[2]
    assert found[1][2] != found[0][2]


def test_layers_are_named_on_the_command_line(suites, pytester):
    """--protect and --ratio-of make other checkpoints; the records say which, and nothing of them else."""
    asked = ("-k", "cost and unstructured", "--method=unstructured-l1", "--ratios=0.5")
    found = []
    for options in ((), ("--protect=in*,fc",), ("--ratio-of=inner=0.75",)):
        suites(*asked, *options)
        (record,) = records(pytester)
        found.append((record.get("protect"), record.get("ratio_of"), record["key"], record["sparsity"]))
    plain, protected, own = found
    assert [entry[:2] for entry in found] == [(None, None), ("fc,in*", None), (None, "inner=0.75")]
    assert len({entry[2] for entry in found}) == 3
    assert protected[3] < plain[3] < own[3]


def test_a_layer_that_there_is_not_ends_the_run_before_training(suites, store):
    """A pattern that matches no layer is one line and exit code 2, and nothing was trained for it."""
    stored = set(store.glob("*/metrics.json"))
    result = suites("-k", "cost", "--protect=innr", "--method=unstructured-l1", "--seed=9")
    assert result.ret == 2
    assert "no layer 'innr' in this model. Did you mean 'inner'?" in result.stdout.str()
    assert set(store.glob("*/metrics.json")) == stored


def test_a_seed_is_asked_for_on_the_command_line(suites, pytester):
    """--seed trains dense and pruned from that seed; the records say so."""
    keys = []
    for seed in (0, 1):
        suites("-k", "cost", f"--seed={seed}")
        assert {r["seed"] for r in records(pytester)} == {seed}
        keys.append({r["key"] for r in records(pytester)})
    assert not keys[0] & keys[1]


@pytest.fixture
def missing_runtime(monkeypatch):
    """Take a backend away."""
    monkeypatch.setattr(
        BACKENDS["eager"], "unavailable_reason", lambda precision, device: "eager is on holiday"
    )


def test_a_backend_of_the_grid_that_is_missing_is_skipped(suites, missing_runtime):
    """A grid names backends that not every machine has: those cells are skipped, with the reason."""
    result = suites("-rs", "-k", "accuracy")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*SKIPPED*eager is on holiday*"])


def test_a_backend_named_on_the_command_line_must_be_there(suites, missing_runtime):
    """Who asks for a backend by name is told, not passed over."""
    result = suites("-k", "accuracy", "--backends=eager")
    assert result.ret == 2


def test_targets_become_ratios_of_the_grid(suites, pytester):
    """Cells have the ratios found; records and the end say whether targets are met; no second search."""
    arguments = ("--target-macs=2x,900x", "--backends=eager", "-k", "cost or latency")
    result = suites(*arguments)
    shown = result.stderr.str() + result.stdout.str()
    assert "2x fewer MACs: ratio 0." in shown
    assert "900x fewer MACs is out of reach" in shown
    judged = [record for record in records(pytester) if "target" in record]
    assert [(r["suite"], r["target"], r["target_met"]) for r in judged] == [("cost", "2x fewer MACs", "met")]
    result.stdout.fnmatch_lines(["target 2x fewer MACs: met (plugin_nets:tiny_model digits magnitude ratio*"])
    result.stdout.fnmatch_lines(
        ["target 900x fewer MACs: out of reach (plugin_nets:tiny_model magnitude ratio*"]
    )
    result = suites(*arguments)
    assert "found before: --search-again looks again" in result.stderr.str() + result.stdout.str()
    again = [record for record in records(pytester) if "target" in record]
    assert [r["key"] for r in again] == [r["key"] for r in judged]


def test_a_target_of_time_is_judged_where_it_is_to_be_met(suites, pytester, monkeypatch):
    """The setting of a target is a cell, whatever the grid has; the made checkpoint is what is judged."""
    timer = NoisyTimer()

    def made_up(reference, networks, example, settings, options, *, with_control, advance):
        return [timer(reference, networks, example, settings[0], with_control, advance)]

    monkeypatch.setattr(pruning_core.shapes.targets, "time_shapes", made_up)
    result = suites("--target-speedup=2", "--on=eager:bf16", "--batch-size=2", "-k", "latency")
    assert result.ret == 0
    judged = [record for record in records(pytester) if "target" in record]
    assert [(r["backend"], r["precision"], r["batch_size"]) for r in judged] == [("eager", "bf16", 2)]
    assert judged[0]["target"].startswith("2x on eager:bf16, batch 2")
    assert judged[0]["target_met"] in ("met", "missed", "inconclusive")
    reached = float(f"{judged[0]['speedup']:.3g}")
    assert judged[0]["target_reached"].startswith(f"{reached:g}x [")
    assert "target 2x on eager:bf16, batch 2" in result.stdout.str()


def test_targets_beside_ratios_are_refused(suites):
    """One line, before anything is searched."""
    result = suites("--target-macs=2x", "--ratios=0.5")
    assert result.ret == 2
    assert "ratios and target_macs: give one of them" in result.stderr.str() + result.stdout.str()
