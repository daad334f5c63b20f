"""A store is a store: nothing of a user's is deleted, nothing sound is quarantined, no wait without end."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.config.spec import ModelSpec, TrainSpec, key_of
from pruning_core.errors import StoreError, TrainingError
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.store.marker import MARKER
from pruning_core.workspace import Workspace
from tests.helpers.factories import bright_images, dense_spec, made, write_user_model

KEY = key_of(dense_spec())


def fill_as_a_user_might(folder):
    """Lay files of a user's into folders that are named as a store's are."""
    for name in (
        "temporary/notes.txt",
        "set-aside/thesis.tex",
        "unfinished/novel.writing",
        "locks/door.lock",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", ["gc", "verify", "ls"])
def test_a_folder_that_is_no_store_is_refused(run, tmp_path, command):
    """The store's commands touch nothing without the marker, and say so in one line."""
    mine = fill_as_a_user_might(tmp_path / "anything")
    code, out, err = run("store", command, "--store", "anything")
    assert (code, out) == (2, "")
    assert "is not a store of pruning-bench" in err
    assert len(err.splitlines()) == 1
    assert {path: path.read_text() for path in mine} == mine


@pytest.mark.parametrize("command", [["store", "gc"], ["store", "ls"], ["prepare"]])
def test_an_empty_text_is_no_store(run, command):
    """`--store ""` is not taken for the current folder."""
    code, _, err = run(*command, "--store", "")
    assert code == 2
    assert "got an empty text" in err


def test_a_users_files_in_a_store_stay(store, tmp_path):
    """gc deletes names of ours alone, also inside of a store; links are never followed."""
    mine = fill_as_a_user_might(store.root)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{KEY}-1").mkdir()
    (outside / "precious").write_text("mine")
    (store.root / "set-aside" / f"{KEY}-7").symlink_to(outside)
    (store.root / "temporary" / f"{KEY}-x").symlink_to(outside / "precious")
    deleted = {path.name for path, _ in store.collect_garbage().deleted}
    assert deleted == {f"{KEY}-7", f"{KEY}-x"}  # the links themselves
    assert {path: path.read_text() for path in mine} == mine
    assert (outside / "precious").read_text() == "mine"
    shutil.rmtree(store.root / "temporary")
    (store.root / "temporary").symlink_to(outside)
    ((kept, reason),) = store.collect_garbage().kept
    assert (kept.name, reason) == ("temporary", "a link; links are not followed")
    assert (outside / f"{KEY}-1").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="no umask there")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_who_may_read_a_store_is_what_the_umask_says(tmp_path, mask):
    """The marker and the folders of checkpoints are for all whom the user's umask lets in."""
    before = os.umask(mask)
    try:
        store = Store(tmp_path / "store")
        checkpoint = store.get_or_make(dense_spec(), lambda _: made())
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (store.root / MARKER, checkpoint.path)}
    assert list(modes.values()) == [0o666 & ~mask, 0o777 & ~mask]
    assert {path.stat().st_mode & 0o777 for path in checkpoint.path.iterdir()} == {0o666 & ~mask}


def test_what_another_process_works_on_stays(store):
    """Under the lock of its key a half-written state is in use; afterwards it is a leftover."""
    folder = store.root / "unfinished"
    folder.mkdir()
    (folder / f"{KEY}.writing").write_bytes(b"half")
    (store.root / "temporary" / f"{KEY}-new").mkdir()
    with FileLock(store.root / "locks" / f"{KEY}.lock"):
        assert store.collect_garbage().deleted == []
    assert {path.name for path, _ in store.collect_garbage().deleted} == {f"{KEY}.writing", f"{KEY}-new"}
    assert list((store.root / "locks").iterdir()) == []


def test_locks_that_nobody_holds_are_removed(store):
    """A collection leaves no lock files behind, and a store works on afterwards."""
    store.get_or_make(dense_spec(), lambda _: made())
    for number in range(40):
        (store.root / "locks" / f"{number:032x}.lock").touch()
    store.collect_garbage()
    assert list((store.root / "locks").iterdir()) == []
    store.get_or_make(dense_spec(1), lambda _: made(1))


def test_leftovers_of_killed_decodes_are_removed(store):
    """A half-written cache of a killed process goes, one that is being written and whole ones stay."""
    datasets = store.root / "datasets"
    for name in (f".{KEY}.{'0' * 32}", KEY, "mine"):
        (datasets / name).mkdir(parents=True)
    assert {path.name for path, _ in store.collect_garbage().deleted} == {f".{KEY}.{'0' * 32}"}
    assert {path.name for path in datasets.iterdir()} == {KEY, "mine"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may delete everything")
def test_what_cannot_be_deleted_is_named(run, store, tmp_path):
    """A leftover that may not be deleted is named with the reason, exit code 2, no traceback."""
    folder = store.root / "set-aside" / f"{KEY}-1"
    folder.mkdir(parents=True)
    (folder / "file").touch()
    folder.chmod(0o500)
    code, _, err = run("store", "gc", "--store", str(store.root))
    folder.chmod(0o700)
    assert code == 2
    assert "cannot delete" in err


@pytest.mark.parametrize("target", ["rmtree", "unlink"])
def test_a_failed_deletion_is_named_and_left(run, store, monkeypatch, target):
    """Whatever the system says against a deletion, the rest is done, and exit code 2 tells."""
    store.get_or_make(dense_spec(), lambda _: made())
    (store.root / "set-aside" / f"{KEY}-1").mkdir(parents=True)
    (store.root / "unfinished").mkdir(exist_ok=True)
    (store.root / "unfinished" / f"{KEY}.writing").touch()

    def refuse(*arguments, **_):
        raise OSError(errno.EPERM, "Operation not permitted")

    if target == "rmtree":
        monkeypatch.setattr("pruning_core.store.garbage.shutil.rmtree", refuse)
    else:
        monkeypatch.setattr(Path, "unlink", refuse)
    code, out, err = run("store", "gc", "--store", str(store.root))
    assert code == 2
    assert "Operation not permitted" in err
    assert "Traceback" not in err
    assert "0 deleted" not in out or target == "unlink"


def test_a_store_that_cannot_be_written_can_be_read(run, store, monkeypatch):
    """Of a read-only store checkpoints load and are listed; making one is one line, before any training."""
    store.get_or_make(dense_spec(), lambda _: made())

    def refuse(*arguments, **_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    opened = Store(store.root)
    assert opened.find(dense_spec()) is not None
    with pytest.raises(StoreError, match="Read-only file system"):
        opened.get_or_make(dense_spec(1), lambda _: pytest.fail("must not train"))
    assert run("store", "ls", "--store", str(store.root))[0] == 0
    assert run("store", "verify", "--store", str(store.root))[0] == 0


@pytest.mark.parametrize("field", ["learning_rate", "weight_decay", "muon_rate"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_that_are_not_finite_are_refused(field, value):
    """A recipe holds finite numbers only."""
    with pytest.raises(ValueError, match=field):
        TrainSpec(**{field: value})


@pytest.mark.parametrize("when", ["loss", "weights", "built"])
def test_what_diverges_is_not_stored(tmp_path, monkeypatch, when):
    """A loss or weights that are no numbers end in one line, with nothing stored and no state to resume."""
    model = write_user_model(tmp_path, f"diverging_{when}")
    path = tmp_path / f"diverging_{when}.py"
    if when == "weights":  # an unused weight becomes infinite: the loss stays finite
        path.write_text(
            path.read_text()
            .replace(
                "self.fc = nn.Linear(width, classes)",
                "self.fc = nn.Linear(width, classes)\n        self.register_buffer('steps', torch.ones(1))",
            )
            .replace(
                "return self.fc(x.mean(dim=(2, 3)))",
                "self.steps /= 0 if self.training else 1\n        return self.fc(x.mean(dim=(2, 3)))",
            )
        )
    if when == "built":
        layer = "self.fc = nn.Linear(width, classes)"
        unused = f"{layer}\n        self.unused = nn.Parameter(torch.tensor([float('nan')]))"
        path.write_text(path.read_text().replace(layer, unused))
    monkeypatch.syspath_prepend(str(tmp_path))
    rate = 1e30 if when == "loss" else 0.01
    epochs = 0 if when == "built" else 3
    train = {"epochs": epochs, "batch_size": 16, "precision": "fp32", "learning_rate": rate}
    grid = make_grid({"model": model, "ratios": "0.5", "train": train})
    workspace = Workspace(Store(tmp_path / "store"), ProgressDisplay())
    workspace._datasets["digits"] = bright_images()
    with pytest.raises(TrainingError, match=r"[Nn]othing was stored") as caught:
        ensure_variant(next(iter(variants(grid))), grid, workspace)
    assert len(str(caught.value).splitlines()) == 1
    assert list(workspace.store.stored_keys()) == []
    assert not list((tmp_path / "store" / "unfinished").glob("*"))
    if when == "loss":
        assert "It began at step" in str(caught.value)


def test_gc_beside_a_training_harms_nothing(tmp_path):
    """While a process makes checkpoints, gc runs over and over; all are made, and sound."""
    write_user_model(tmp_path)
    (tmp_path / "my.toml").write_text(
        "model = 'my_nets:tiny_model'\nratios = [0.5]\n[train]\nepochs = 2\n[fine_tune]\nepochs = 2\n"
    )
    command = [sys.executable, "-m", "pruning_core", "prepare", "--grid", "my.toml", "--store", "store"]
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        if (tmp_path / "store" / MARKER).exists():
            Store.open_existing(tmp_path / "store").collect_garbage()
    assert process.returncode == 0, process.stderr.read()
    process.stderr.close()
    store = Store.open_existing(tmp_path / "store")
    assert len([store.load(key) for key in store.stored_keys()]) == 2


def test_the_model_of_a_spec_is_told(store):
    """What a store says of a checkpoint names the network, not the key alone."""
    from pruning_core.store.checkpoint import describe

    spec = dense_spec().model_copy(update={"model": ModelSpec(name="mine")})
    assert describe(key_of(spec), spec) == f"checkpoint {key_of(spec)[:12]} (mine on digits, dense)"
