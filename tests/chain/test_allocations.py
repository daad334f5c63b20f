"""`latency-aware` in a chain: measured once, allocated on the dense model, stored in the specs."""

import json
from threading import Event, Thread

import pytest
from filelock import FileLock

from pruning_core.chain import training as chain_training
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.config.spec import DenseSpec, key_of
from pruning_core.errors import OptionError
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.suites.forecast import missing_specs
from pruning_core.suites.validate import validate_grid
from tests.helpers.factories import write_user_model
from tests.helpers.fake_times import fake_time_shapes
from tests.helpers.small_runs import grid_of, make_all, open_workspace

AWARE = {"method": "latency-aware", "optimize_for": "eager", "ratios": "0.25,0.5"}


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write a user's small network and return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_user_model(tmp_path, "aware_nets")


@pytest.fixture
def trainings(monkeypatch):
    """Count the trainings."""
    calls = []
    train = chain_training.train
    monkeypatch.setattr(chain_training, "train", lambda *a, **k: [calls.append(1), train(*a, **k)][1])
    return calls


@pytest.fixture
def asked(monkeypatch):
    """Let networks take as long as they have work, and note what is measured."""
    return fake_time_shapes(monkeypatch)


def test_a_second_run_measures_and_trains_nothing(tmp_path, model, trainings, asked):
    """Times, allocations and checkpoints are kept in the store; another process asks for the same keys."""
    grid = grid_of(model, **AWARE)
    first = make_all(grid, open_workspace(tmp_path))
    assert len(trainings) == 3
    measured = len(asked)
    assert measured > 0
    second = make_all(grid, open_workspace(tmp_path))
    assert [a.key for a in first] == [b.key for b in second]
    assert (len(trainings), len(asked)) == (3, measured)


def test_the_spec_holds_what_is_kept(tmp_path, model, asked):
    """Each step's allocation is in its stored spec, its widths are these, and no step widens one."""
    _, quarter, half = make_all(grid_of(model, **AWARE), open_workspace(tmp_path))
    for checkpoint in (quarter, half):
        stored = json.loads((checkpoint.path / "spec.json").read_text())["spec"]["method"]["allocation"]
        assert stored
        assert all(checkpoint.plan.widths[layer] == width for layer, width in stored)
        assert checkpoint.plan.proof == "exact"
    assert half.metrics.macs < quarter.metrics.macs
    assert all(half.plan.widths[layer] <= width for layer, width in quarter.plan.widths.items())


def test_a_ratio_takes_as_long_as_uniform_pruning_at_it(tmp_path, model, asked):
    """Where time is work, it leaves no more work than `magnitude`, and hardly less."""
    workspace = open_workspace(tmp_path)
    uniform = make_all(grid_of(model, ratios="0.25,0.5"), workspace)
    aware = make_all(grid_of(model, **AWARE), workspace)
    for a, b in zip(aware[1:], uniform[1:], strict=True):
        assert 0.6 * b.metrics.macs_products < a.metrics.macs_products <= 1.02 * b.metrics.macs_products


def test_lost_tables_are_measured_again_for_the_same_keys(tmp_path, model, trainings, asked):
    """Without times the allocation is still known; without either both are made again."""
    grid = grid_of(model, **AWARE)
    first = make_all(grid, open_workspace(tmp_path))
    tables = sorted((open_workspace(tmp_path).store.root / "tables").iterdir())
    assert len(tables) == 3  # of the times, and of the chains that end in 0.25 and in 0.5
    for table in tables:
        table.write_text("{not JSON")
    second = make_all(grid, open_workspace(tmp_path))
    assert [a.key for a in first] == [b.key for b in second]
    assert len(trainings) == 3


def test_before_the_dense_model_is_made_nothing_is_measured(tmp_path, model, asked):
    """A forecast counts the checkpoints; what they keep is not known yet."""
    grid, workspace = grid_of(model, **AWARE), open_workspace(tmp_path)
    missing = missing_specs(variants(grid), grid, workspace)
    assert len(missing) == 3
    specs = chain_specs(list(variants(grid))[-1], grid, workspace)
    assert all(isinstance(spec, DenseSpec) or not spec.method.allocation for spec in specs)
    assert asked == []


def test_the_key_follows_the_setting_by_the_widths_alone(tmp_path, model, asked):
    """Another batch size whose times are alike gives the same checkpoints, after its own measurement."""
    workspace = open_workspace(tmp_path)
    one = make_all(grid_of(model, **AWARE), workspace)
    measured = len(asked)
    other = make_all(grid_of(model, **AWARE, optimize_batch_size=8), workspace)
    assert len(asked) == 2 * measured
    assert [a.key for a in one] == [b.key for b in other]


def test_one_process_measures_and_others_wait_for_it(tmp_path, model, trainings, asked, capsys, monkeypatch):
    """Two that time at once disturb each other, and would allocate other widths."""
    grid = grid_of(model, **AWARE)
    workspace = open_workspace(tmp_path)
    ensure_variant(next(iter(variants(grid))), grid, workspace)
    make_all(grid, workspace)
    locks = [path for path in (workspace.store.root / "locks").iterdir() if path.stem in _tables(workspace)]
    assert len(locks) == 1
    for table in (workspace.store.root / "tables").iterdir():
        table.unlink()
    held, spoken = Event(), Event()

    def hold():
        with FileLock(locks[0]):
            held.set()
            spoken.wait(60)

    say = ProgressDisplay.say

    def say_and_tell(display, *arguments, **options):
        say(display, *arguments, **options)
        spoken.set()

    monkeypatch.setattr(ProgressDisplay, "say", say_and_tell)
    other = Thread(target=hold)
    other.start()
    assert held.wait(10)
    capsys.readouterr()
    chain_specs(list(variants(grid))[-1], grid, open_workspace(tmp_path))
    other.join()
    assert "another process is timing widths of" in capsys.readouterr().err


def _tables(workspace):
    return {path.stem for path in (workspace.store.root / "tables").iterdir()}


def test_ratio_one_is_exhausted(tmp_path, model, asked):
    """It removes nothing more, as with any method."""
    *_, half, all_gone = make_all(grid_of(model, **{**AWARE, "ratios": "0.5,1.0"}), open_workspace(tmp_path))
    assert all_gone.metrics.exhausted
    assert all_gone.plan.widths == half.plan.widths


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "latency-aware"}, "--optimize-for, openvino:int8 say"),
        ({"optimize_for": "eager"}, "only method latency-aware is made for a backend; got method magnitude"),
        ({"method": "latency-aware", "optimize_for": "openvin"}, "Did you mean 'openvino'"),
        ({"method": "latency-aware", "optimize_for": "eager:int8"}, "int8"),
    ],
    ids=str,
)
def test_a_grid_that_does_not_fit_is_one_line(model, options, said):
    """The method without a backend, a backend without the method, and one that there is not."""
    with pytest.raises(OptionError, match=said):
        validate_grid(grid_of(model, **options))


def test_a_target_is_refused():
    """Its widths are not known before the dense model is trained."""
    grid = make_grid({"method": "latency-aware", "optimize_for": "eager", "target_macs": "0.5"})
    with pytest.raises(OptionError, match="targets are not searched for latency-aware"):
        validate_grid(grid)


@pytest.mark.parametrize("value", ["eager,openvino", "openvino:int7"])
def test_one_backend_is_named(model, value):
    """Several, or a precision that is none, are refused where the grid is read."""
    with pytest.raises(OptionError, match="optimize_for: "):
        grid_of(model, method="latency-aware", optimize_for=value)


def test_the_dense_key_is_that_of_other_methods(tmp_path, model, asked):
    """The dense model is trained once for all methods."""
    workspace = open_workspace(tmp_path)
    grids = (grid_of(model), grid_of(model, **AWARE))
    keys = {key_of(chain_specs(next(iter(variants(grid))), grid, workspace)[0]) for grid in grids}
    assert len(keys) == 1
