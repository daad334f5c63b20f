"""The store: whole or not at all, verified, made once."""

import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch

from pruning_core import store as store_module
from pruning_core.config.spec import key_of
from pruning_core.errors import DamagedCheckpointError, OtherVersionError, StoreError
from pruning_core.files import atomic
from pruning_core.store import Store, default_root
from pruning_core.store.checkpoint import Metrics
from pruning_core.store.resume import ResumeState
from pruning_core.training.loop import EpochState
from tests.helpers.factories import dense_spec, made


def never(_):
    """Fail when a checkpoint that is stored is made again."""
    raise AssertionError("must not be made")


def test_what_is_stored_comes_back(store):
    """A checkpoint loads with the spec, plan, metrics and weights that were stored, and is not made again."""
    spec, content = dense_spec(), made()
    store.get_or_make(spec, lambda _: content)
    loaded = store.get_or_make(spec, never)
    assert (loaded.spec, loaded.plan, loaded.metrics) == (spec, content.plan, content.metrics)
    weights = loaded.weights()
    assert weights.keys() == content.weights.keys()
    assert all(torch.equal(weights[name], content.weights[name]) for name in weights)


def test_metrics_of_an_earlier_version_are_read():
    """Metrics that do not tell how their MACs were counted are read; they are torch-pruning's."""
    fields = json.loads(made().metrics.model_dump_json())
    del fields["macs_products"], fields["macs_torch_pruning"]
    metrics = Metrics.model_validate_json(json.dumps(fields))
    assert (metrics.macs, metrics.macs_products, metrics.macs_torch_pruning) == (1, None, None)


def test_another_spec_is_another_checkpoint(store):
    """Specs that differ in one field do not share a checkpoint."""
    store.get_or_make(dense_spec(0), lambda _: made(0))
    assert store.find(dense_spec(1)) is None


FILES = ("spec.json", "plan.json", "metrics.json", "weights.safetensors")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing", "emptied"])
def test_damage_is_said_quarantined_and_made_again(store, said, name, damage):
    """A checkpoint with any file damaged is never used: it is quarantined and made again."""
    spec = dense_spec()
    path = store.get_or_make(spec, lambda _: made()).path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        altered = content.replace(b"1", b"2", 1) if b"1" in content[:2000] else content[:-1] + b"\x00"
        path.write_bytes(
            {"truncated": content[: len(content) // 2], "altered": altered, "emptied": b""}[damage]
        )
    with pytest.raises(DamagedCheckpointError, match=key_of(spec)):
        store.load(key_of(spec))
    again = store.get_or_make(spec, lambda _: made())
    assert len(said) == 1
    assert "quarantined" in said[0]
    assert len(list((store.root / "set-aside").iterdir())) == 1
    assert torch.equal(again.weights()["stem.weight"], made().weights["stem.weight"])


def test_a_foreign_checkpoint_is_not_used(store, said):
    """A sound checkpoint under another's key is not taken for it."""
    right, wrong = dense_spec(0), dense_spec(1)
    store.get_or_make(wrong, lambda _: made(1))
    os.rename(store.root / key_of(wrong), store.root / key_of(right))
    found = store.get_or_make(right, lambda _: made(0))
    assert found.spec == right
    assert "another key" in said[0]


def test_a_newer_format_is_not_read(store):
    """A checkpoint of a later format is refused, not guessed at."""
    path = store.get_or_make(dense_spec(), lambda _: made()).path / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(OtherVersionError, match="format 99"):
        store.load(key_of(dense_spec()))


def test_a_failed_making_leaves_nothing(store):
    """When making fails, nothing is stored and the next try starts clean."""

    def fail(_):
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError):
        store.get_or_make(dense_spec(), fail)
    assert list(store.stored_keys()) == []
    assert store.get_or_make(dense_spec(), lambda _: made()).spec == dense_spec()


def test_a_full_disk_is_one_line_and_leaves_nothing(store, monkeypatch):
    """When the disk is full while writing, the error says so and no part of the checkpoint stays."""

    def full(path, content):
        path.write_bytes(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store_module, "write_synced", full)
    with pytest.raises(StoreError, match=r"no space left for the store .*--store"):
        store.get_or_make(dense_spec(), lambda _: made())
    assert list(store.stored_keys()) == []
    assert list((store.root / "temporary").iterdir()) == []


def test_a_full_disk_keeps_the_state_before(store, monkeypatch):
    """When the state after an epoch cannot be written, the one before stays."""
    unfinished = ResumeState(store.root / "unfinished" / "key.safetensors")
    unfinished.save(EpochState(1, {"model.a": torch.ones(2)}, 0.5, 0.1, (1.0,)))

    def full(path, content):
        path.write_bytes(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic, "write_synced", full)
    with pytest.raises(StoreError, match="no space left"):
        unfinished.save(EpochState(2, {"model.a": torch.zeros(2)}, 1.0, 0.1, (1.0, 0.5)))
    state = unfinished.load()
    assert state is not None
    assert (state.epoch, state.losses, state.tensors["model.a"].tolist()) == (1, (1.0,), [1.0, 1.0])


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 100])
def test_a_damaged_state_is_not_resumed(tmp_path, content):
    """A state that cannot be read is as good as none."""
    path = tmp_path / "key.safetensors"
    path.write_bytes(content)
    assert ResumeState(path).load() is None


def test_a_store_that_cannot_be_made(tmp_path):
    """A store whose folder cannot be made is refused before any work begins."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write the store"):
        Store(tmp_path / "file" / "store")


def test_root_from_the_environment(monkeypatch, tmp_path):
    """PRUNING_BENCH_STORE names the store where no option does."""
    monkeypatch.setenv("PRUNING_BENCH_STORE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("PRUNING_BENCH_STORE")
    assert default_root().name == "pruning-bench"


def test_garbage_is_what_no_run_will_use(store):
    """gc deletes leftovers and what was quarantined, and keeps checkpoints and resumable states."""
    kept = store.get_or_make(dense_spec(0), lambda _: made())
    folder = store.root / "unfinished"
    state = EpochState(1, {"model.a": torch.ones(2)}, 0.5, 0.1, (1.0,))
    ResumeState(folder / f"{kept.key}.safetensors").save(state)  # superseded
    resumable = ResumeState(folder / f"{key_of(dense_spec(1))}.safetensors")
    resumable.save(state)
    (folder / f"{key_of(dense_spec(2))}.writing").write_bytes(b"12")
    (store.root / "temporary" / f"{key_of(dense_spec(2))}-abc").mkdir()
    (store.root / "set-aside" / f"{key_of(dense_spec(2))}-1").mkdir(parents=True)
    collected = store.collect_garbage()
    deleted = {path.name for path, _ in collected.deleted}
    other = key_of(dense_spec(2))
    assert deleted == {f"{kept.key}.safetensors", f"{other}.writing", f"{other}-abc", f"{other}-1"}
    assert collected.kept == []
    assert list((store.root / "locks").iterdir()) == []
    assert resumable.load() is not None
    assert store.load(kept.key).key == kept.key


def _ask(root: str, log: str) -> None:
    def make(_):
        with Path(log).open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        return made()

    Store(Path(root)).get_or_make(dense_spec(), make)
    with Path(log).open("a") as file:
        file.write("got\n")


def test_eight_processes_make_it_once(tmp_path):
    """Of eight processes that ask for the same checkpoint at once, one makes it and all get it."""
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    arguments = (str(tmp_path / "store"), str(log))
    processes = [context.Process(target=_ask, args=arguments) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = log.read_text().split()
    assert (lines.count("made"), lines.count("got")) == (1, 8)
