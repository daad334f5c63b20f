"""What is exported is named by a key, a cell, a ratio or a folder; each mistake is one line."""

import json
import re
import shutil

import pytest
from filelock import FileLock

from pruning_core.errors import DamagedCheckpointError, OptionError, RecordError, StoreError, UnknownNameError
from pruning_core.export.drafts import check_target, draft_of
from pruning_core.export.onnx import Onnx
from pruning_core.export.openvino import OpenVino
from pruning_core.export.python import PlainPython
from pruning_core.export.story import Order, resolve_precision
from pruning_core.export.subject import find_subject
from pruning_core.store import Store
from pruning_core.store.lookup import find_key
from tests.helpers.factories import dense_spec, made
from tests.helpers.record_factory import make_content


@pytest.fixture
def store(tmp_path):
    """Make a store with three small checkpoints."""
    store = Store(tmp_path / "store")
    for seed in range(3):
        store.get_or_make(dense_spec(seed), lambda _, seed=seed: made(seed))
    return store


CELL = "resnet18-digits-magnitude-0.5-openvino-fp32-cpu"


def write_run(path, keys, ratios=(0.5,)):
    """Write a benchmark file whose checkpoints, dense first, have these keys."""
    content = make_content(ratios=ratios, backends=("eager:fp32", "openvino:fp32"), batch_sizes=(8,))
    known = {}
    for entry in content["benchmarks"]:
        info = entry["extra_info"]
        info["key"] = known.setdefault(info["key"], keys[min(len(known), len(keys) - 1)])
    path.write_text(json.dumps(content))
    return str(path)


def test_a_key_may_be_short(store):
    """Six digits or more of a key name its checkpoint, in capitals too."""
    key = next(store.stored_keys())
    assert find_subject(key[:8].upper(), None, None, store.root).checkpoint.key == key
    assert find_subject(key, None, None, store.root).checkpoint.key == key


def test_keys_that_name_nothing(store, tmp_path):
    """Too few digits, no such key and an empty store are one line each; the nearest key is offered."""
    key = next(store.stored_keys())
    with pytest.raises(OptionError, match="of which the first 6 will do; got 'abc'"):
        find_key(store, "abc")
    wrong = key[:6] + ("0" if key[6] != "0" else "1") + key[7:10]
    with pytest.raises(UnknownNameError, match=f"no checkpoint '{wrong}'. Did you mean '{key[:12]}'"):
        find_key(store, wrong)
    with pytest.raises(StoreError, match="it holds none"):
        find_key(Store(tmp_path / "empty"), key)
    with pytest.raises(StoreError, match="no store at"):
        find_subject(key, None, None, tmp_path / "nowhere")


def test_a_beginning_of_several_keys_is_ambiguous(store, monkeypatch):
    """Two keys that begin alike are both listed."""
    keys = ["abcdef" + "0" * 26, "abcdef" + "1" * 26]
    monkeypatch.setattr(store, "stored_keys", lambda: iter(keys))
    with pytest.raises(OptionError, match="2 checkpoints begin with abcdef: abcdef000000, abcdef111111"):
        find_key(store, "abcdef")
    assert find_key(store, "abcdef0") == keys[0]


def test_a_key_that_is_being_made_is_locked(store):
    """A checkpoint that another process makes just now is not called unknown."""
    key = "0123456789abcdef" * 2
    with (
        FileLock(store.root / "locks" / f"{key}.lock"),
        pytest.raises(StoreError, match=f"checkpoint {key} is being made by another process"),
    ):
        find_key(store, key[:10])


def test_a_cell_says_how_it_was_measured(store, tmp_path):
    """A cell's checkpoint, precision and batch size come from its record, however the cell is named."""
    dense, key, _ = store.stored_keys()
    file = write_run(tmp_path / "r.json", [dense, key])
    one = find_subject(f"{file}::{CELL}-b8", None, None, store.root)
    other = find_subject(file, f"{CELL}-b8", None, store.root)
    assert (one.checkpoint.key, one.precision, one.batch_size) == (key, "fp32", 8)
    assert (other.checkpoint.key, other.precision, other.batch_size) == (key, "fp32", 8)
    of_ratio = find_subject(file, None, 0.5, store.root)
    assert (of_ratio.checkpoint.key, of_ratio.precision) == (key, None)
    order = Order("openvino", tmp_path / "a.xml", precision="int8")
    with pytest.raises(OptionError, match="was measured in fp32: leave --precision int8 out"):
        resolve_precision(order, one)
    assert resolve_precision(Order("openvino", tmp_path / "a.xml"), one) == "fp32"


def test_cells_that_name_nothing(store, tmp_path):
    """An unknown cell or ratio, several checkpoints of one, a missing file: one line each."""
    a, b, c = store.stored_keys()
    file, gone = write_run(tmp_path / "r.json", [a, b]), write_run(tmp_path / "gone.json", ["f" * 32])
    two = write_run(tmp_path / "two.json", [a, b])
    content = json.loads((tmp_path / "two.json").read_text())
    content["benchmarks"][-1]["extra_info"]["key"] = c
    (tmp_path / "two.json").write_text(json.dumps(content))
    (tmp_path / "no.json").write_text("{}")
    near = f"{CELL[:-3]}gpu"
    for error, said, arguments in (
        (UnknownNameError, f"no cell '{near}'. Did you mean '{CELL}'", (file, near, None)),
        (OptionError, "name a cell with --cell, or a ratio with --ratio", (file, None, None)),
        (OptionError, "holds 0, 0.5; got 0.75", (file, None, 0.75)),
        (OptionError, "holds 2 checkpoints of ratio 0.5: name one of their cells", (two, None, 0.5)),
        (OptionError, "two cells are named", (f"{file}::{CELL}", "b-0.5", None)),
        (OptionError, f"cell {CELL} is of ratio 0.5, not 0.25", (file, CELL, 0.25)),
        (OptionError, "no file nowhere.json", ("nowhere.json::a", None, None)),
        (StoreError, f"of cell {CELL} is not in the store", (gone, CELL, None)),
        (OptionError, "is no key", ("nowhere.json", None, None)),
        (OptionError, "--cell chooses in the results file of a run; a key is one checkpoint", (a, "x", None)),
        (RecordError, "no.json", (str(tmp_path / "no.json"), "a", None)),
    ):
        with pytest.raises(error, match=re.escape(said)):
            find_subject(*arguments, store.root)


def test_a_folder_of_a_checkpoint(store, tmp_path):
    """A checkpoint's own folder names it, and so does a copy under any name; no other folder does."""
    key = next(store.stored_keys())
    assert find_subject(str(store.root / key), None, None, tmp_path).checkpoint.key == key
    with pytest.raises(OptionError, match=r"no folder of a checkpoint: it has no spec\.json"):
        find_subject(str(tmp_path), None, None, tmp_path)
    copied = shutil.copytree(store.root / key, tmp_path / "copied")
    assert find_subject(str(copied), None, None, tmp_path).checkpoint.key == key
    (copied / "spec.json").write_text("{}")
    with pytest.raises(DamagedCheckpointError, match="names no key"):
        find_subject(str(copied), None, None, tmp_path)


def test_targets_that_cannot_be_written(tmp_path):
    """A wrong ending, no folder, a file that is there, a user's own folder: found out before any work."""
    (tmp_path / "net.bin").write_text("mine")
    (tmp_path / "mine").mkdir()
    for form, path, force, said in (
        (Onnx(), tmp_path / "net.pt", False, r"a file of format onnx ends with \.onnx"),
        (Onnx(), tmp_path / "no" / "net.onnx", False, "there is no folder"),
        (OpenVino(), tmp_path / "net.xml", False, r"net\.bin is there already"),
        (PlainPython(), tmp_path / "mine", False, "is there already"),
        (PlainPython(), tmp_path / "mine", True, "no folder that this command has written"),
    ):
        with pytest.raises(OptionError, match=said):
            check_target(form, path, force)
    check_target(OpenVino(), tmp_path / "net.xml", True)


def test_a_draft_leaves_nothing(tmp_path):
    """Whatever ends an export, what was half-written is gone."""

    def fail():
        with draft_of(tmp_path / "net.onnx") as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
