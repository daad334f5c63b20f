"""What the suites ask for: references, cells timed in one session, what is loaded or measured once."""

from dataclasses import replace

import pytest
import torch

from pruning_core.backends import BACKENDS
from pruning_core.backends.eager import TorchExecutable
from pruning_core.config.cells import latency_cells
from pruning_core.config.grid import make_grid
from pruning_core.errors import BackendError
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.suites import latency_session, model_cache
from pruning_core.suites.harness import Harness
from pruning_core.suites.model_cache import ModelCache
from pruning_core.system import roofline
from pruning_core.system.contention import Contention, ContentionMonitor
from pruning_core.workspace import Workspace
from tests.helpers.factories import write_user_model

ENDS = ("dense-eager-bf16-cpu-b2", "magnitude-0.5-eager-bf16-cpu-b2")


@pytest.fixture
def harness(tmp_path, monkeypatch):
    """Open a harness over a small grid of a user's network, all its latency cells planned."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(roofline, "REPEAT_S", 1e-3)
    train = {"epochs": 0, "precision": "fp32"}
    grid = make_grid(
        {
            "model": write_user_model(tmp_path, "harness_nets"),
            "ratios": "0.5,0.9,0.92,1.0",
            "backends": "eager,eager:bf16",
            "batch_sizes": "2",
            "threads": 1,
            "train": train,
            "fine_tune": train,
            "latency": {"min_rounds": 5, "max_rounds": 5, "warmup_ms": 1.0, "sample_ms": 0.1},
        }
    )
    workspace = Workspace(Store(tmp_path / "store"), ProgressDisplay())
    threads = torch.get_num_threads()
    yield Harness(grid, workspace, tuple(latency_cells(grid)))
    torch.set_num_threads(threads)


def cell_of(harness, end):
    """Find the cell whose id ends so."""
    return next(cell for cell in harness.planned if cell.id.endswith(end))


def watch_sessions(monkeypatch, note):
    """Let `note` see the groups of each session."""
    measure = latency_session.measure_interleaved

    def noting(groups, options, **others):
        note(groups)
        return measure(groups, options, **others)

    monkeypatch.setattr(latency_session, "measure_interleaved", noting)


def test_all_cells_are_timed_in_one_session(harness, monkeypatch):
    """One session times all cells, those of a reference in one group; exhausted steps are not among them."""
    seen = []
    watch_sessions(monkeypatch, lambda groups: seen.append([len(group.candidates) for group in groups]))
    for cell in harness.planned:
        if not harness.models.checkpoint(cell.variant).metrics.exhausted:
            record, samples_s = harness.latency_record(cell)
            assert record["cell"] == cell.id
            assert len(samples_s) == 2 * record["rounds"] == 10
    # The control alone; 0.5 and 0.9 on fp32 with dense bf16; 0.5 and 0.9 on bf16. 0.92 and 1.0 are exhausted.
    assert seen == [[1, 3, 2]]


@pytest.mark.parametrize(("shared_thread_pool", "pool"), [(True, "eager"), (False, "")])
def test_a_session_knows_whose_threads_are_shared(harness, monkeypatch, shared_thread_pool, pool):
    """Models of a backend share a pool of threads if it says so; else each has its own."""
    monkeypatch.setattr(BACKENDS["eager"], "shared_thread_pool", shared_thread_pool)
    seen = []
    watch_sessions(monkeypatch, lambda groups: seen.extend(group.thread_pools for group in groups))
    harness.latency_record(cell_of(harness, ENDS[0]))
    assert sorted(seen) == [[pool] * 2, [pool] * 3, [pool] * 4]


def test_a_session_takes_what_fits_into_memory(harness, monkeypatch):
    """What does not fit goes into the next session, and every cell is timed once."""
    size = harness.models.checkpoint(cell_of(harness, ENDS[0]).variant).metrics.size_bytes
    monkeypatch.setattr(latency_session, "SESSION_BYTES", size)
    seen = []
    watch_sessions(monkeypatch, lambda groups: seen.append(sum(len(group.candidates) for group in groups)))
    cells = [c for c in harness.planned if not harness.models.checkpoint(c.variant).metrics.exhausted]
    for cell in cells:
        harness.latency_record(cell)
    assert len(seen) > 1
    assert sum(seen) == len(cells) == 6


def test_rooflines_are_measured_before_and_after_a_session(harness, monkeypatch):
    """A run keeps the better of two moments, for each precision; a bad moment does not lower it."""
    looks = []

    def look(device, precision, threads):
        looks.append(precision)
        better = len(looks) == 1
        return roofline.Roofline(2e12 if better else 1e12, 1e9 if better else 3e9)

    monkeypatch.setattr(latency_session, "measure_roofline", look)
    watch_sessions(monkeypatch, lambda groups: looks.append("session"))
    record, _ = harness.latency_record(cell_of(harness, "magnitude-0.5-eager-fp32-cpu-b2"))
    assert looks == ["bf16", "fp32", "session", "bf16", "fp32"]
    assert harness.session.roofline("cpu", "bf16", 1) == roofline.Roofline(2e12, 3e9)
    assert record["peak_gflops"] == 1e3  # fp32 had no better moment


def test_rooflines_are_measured_all_along_a_session(harness, monkeypatch):
    """Now and then between rounds it is measured again; where there is none, once is enough."""
    looks = []

    def look(device, precision, threads):
        looks.append(precision)
        return roofline.Roofline(1e12, 1e9) if precision == "fp32" else None

    monkeypatch.setattr(latency_session, "ROOFLINE_INTERVAL_S", 0.0)
    monkeypatch.setattr(latency_session, "measure_roofline", look)
    record, _ = harness.latency_record(cell_of(harness, "magnitude-0.5-eager-fp32-cpu-b2"))
    assert record["rounds"] == 5
    assert looks == ["bf16", *["fp32"] * (1 + 3 * 5 + 1)]  # three groups
    assert record["peak_gflops"] == 1e3


@pytest.mark.parametrize("end", ["dense-eager-bf16-cpu-b2", "magnitude-0.5-eager-bf16-cpu-b2"])
def test_a_backend_that_cannot_run_a_cell_costs_the_others_nothing(harness, monkeypatch, end):
    """Its error comes when that cell is asked for, or one that is measured against it, and not before."""
    broken = cell_of(harness, end)
    get = ModelCache.get

    def load(models, cell):
        if replace(cell, batch_size=2) == broken:
            raise BackendError("cannot run this")
        return get(models, cell)

    monkeypatch.setattr(ModelCache, "get", load)
    outcome = {}
    for cell in harness.planned:
        if not harness.models.checkpoint(cell.variant).metrics.exhausted:
            try:
                harness.latency_record(cell)
                outcome[cell] = "ok"
            except BackendError as error:
                outcome[cell] = str(error)
    wrong = {cell for cell in outcome if broken in (cell, cell.reference)}
    assert all((outcome[cell] == "cannot run this") == (cell in wrong) for cell in outcome)
    assert all(outcome[cell] == "ok" for cell in set(outcome) - wrong)


def test_the_oldest_models_make_room(harness, monkeypatch):
    """Loaded models are kept up to a size, the last used ones, and never fewer than the one in use."""
    monkeypatch.setattr(model_cache, "CACHE_BYTES", 1)
    for end in ("dense-eager-fp32-cpu-b2", "magnitude-0.5-eager-fp32-cpu-b2"):
        harness.models.evaluate(cell_of(harness, end))
    assert len(harness.models._loaded) == 1
    monkeypatch.setattr(model_cache, "CACHE_BYTES", 10**9)
    harness.models.evaluate(cell_of(harness, "magnitude-0.9-eager-fp32-cpu-b2"))
    assert len(harness.models._loaded) == 2


def test_accuracy_counts_every_image_once(harness):
    """The record's accuracy, count, interval and packed answers are of the same images."""
    record = harness.accuracy_record(cell_of(harness, "magnitude-0.5-eager-bf16-cpu-b2"), None)
    assert record["accuracy_n"] == 359
    right = bin(int(record["correct_bits"], 16)).count("1")
    assert right / 359 == record["accuracy"]
    assert record["accuracy_low"] <= record["accuracy"] <= record["accuracy_high"]
    assert "min_accuracy" not in record


def test_a_latency_record_says_why_and_how_well(harness):
    """Beside times stand the predictions, the MACs saved, the roofline, and what the setup took."""
    record, _ = harness.latency_record(cell_of(harness, "magnitude-0.5-eager-bf16-cpu-b2"))
    macs = [harness.models.checkpoint(cell_of(harness, end).variant).metrics.macs for end in ENDS]
    assert record["mac_reduction"] == macs[0] / macs[1] > 1
    assert record["mac_efficiency"] == pytest.approx(record["speedup"] / record["mac_reduction"])
    assert 0 <= record["agreement"] <= 1
    assert record["min_agreement"] == 0.98
    assert record["logit_difference"] > 0
    assert record["setup_s"] > 0
    assert record["memory_format"] == "channels_last"
    assert record["latency_p50_ms"] > 0
    assert "device_ms" not in record  # the host's clock is the CPU's


def test_records_say_what_the_runtime_was_told(harness, monkeypatch):
    """Accuracy and latency records hold the backend's options, those of the batch size that is timed."""
    monkeypatch.setattr(TorchExecutable, "options", lambda _, batch_size=None: {"streams": str(batch_size)})
    cell = cell_of(harness, "magnitude-0.5-eager-fp32-cpu-b2")
    accuracy = harness.accuracy_record(replace(cell, batch_size=None), None)
    latency, _ = harness.latency_record(cell)
    assert (accuracy["backend_options"], latency["backend_options"]) == ("streams=None", "streams=2")


@pytest.mark.parametrize("graphed", [True, False])
def test_a_cost_record_says_how_steps_were_launched(harness, monkeypatch, graphed):
    """As one graph or kernel by kernel: it is in the checkpoint's metrics."""
    dense = cell_of(harness, ENDS[0]).variant
    made = harness.models.checkpoint(dense)
    metrics = made.metrics.model_copy(update={"train_cuda_graph": graphed})
    monkeypatch.setattr(harness.models, "checkpoint", lambda variant: replace(made, metrics=metrics))
    assert harness.cost_record(dense)["train_cuda_graph"] is graphed


def test_a_training_record_compares_whole_steps(harness):
    """Both loops train on batches of the same size; no checkpoint is made for it."""
    dense = cell_of(harness, ENDS[0]).variant
    record, samples_s = harness.training_record(dense)
    assert record["cell"] == f"{dense.id}-training"
    assert record["batch_size"] == 128
    assert record["reference"] == "baseline loop"
    assert record["train_precision"] == "fp32"
    assert record["train_cuda_graph"] is False  # there are no graphs on a CPU
    assert len(samples_s) == 2 * record["rounds"]
    assert record["images_per_s"] == pytest.approx(128e3 / record["step_ms"])
    assert 0 < record["data_share"] < 1
    assert record["roofline_fraction"] > 0
    assert list(harness.workspace.store.stored_keys()) == []


def test_a_contended_measurement_is_marked(harness, monkeypatch):
    """What kept the machine busy stands in the records of all cells that were timed together."""
    busy = Contention(0.0, 0.38, None, None, None, None, 5.0)
    monkeypatch.setattr(ContentionMonitor, "contention", property(lambda watch: busy))
    record, _ = harness.latency_record(cell_of(harness, "magnitude-0.5-eager-fp32-cpu-b2"))
    assert record["contaminated"] is True
    assert record["contention"] == "other processes used 38 % of the cores"
    assert harness.contended_records == [record]
    assert harness.control_problem() == ""  # no control has left the tolerance


def test_speed_is_measured_on_the_threads_of_the_cell(tmp_path, monkeypatch):
    """With several numbers of threads, each cell is timed on its own, also after another."""
    monkeypatch.syspath_prepend(str(tmp_path))
    train = {"epochs": 0, "precision": "fp32"}
    grid = make_grid(
        {
            "model": write_user_model(tmp_path, "threads_nets"),
            "ratios": "0.5",
            "batch_sizes": "2",
            "threads": "1,2",
            "train": train,
            "fine_tune": train,
            "latency": {"min_rounds": 5, "max_rounds": 5, "warmup_ms": 1.0, "sample_ms": 0.1},
        }
    )
    seen = []
    watch_sessions(monkeypatch, lambda groups: seen.append((torch.get_num_threads(), len(groups))))
    before = torch.get_num_threads()
    try:
        opened = Harness(
            grid, Workspace(Store(tmp_path / "store"), ProgressDisplay()), tuple(latency_cells(grid))
        )
        records = [opened.latency_record(cell)[0] for cell in opened.planned]
    finally:
        torch.set_num_threads(before)
    assert [record["threads"] for record in records] == [1, 2, 1, 2]
    assert seen == [(1, 2), (2, 2)]  # a session for each number of threads


def test_a_control_may_take_longer(harness, monkeypatch):
    """All verdicts of a run hang on its controls: their limit is four times that of other cells."""
    limits = []
    watch_sessions(monkeypatch, lambda groups: limits.extend(group.budget_s for group in groups))
    harness.latency_record(cell_of(harness, "dense-eager-fp32-cpu-b2"))
    budget_s = harness.grid.latency.budget_s
    assert limits == [4 * budget_s, budget_s, budget_s]
