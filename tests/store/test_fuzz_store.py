"""Files of a store, altered at random: no traceback, no altered checkpoint or state accepted."""

import json
import os
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pruning_core.config.spec import key_of
from pruning_core.errors import PruningBenchError, StoreError
from pruning_core.store import Store
from pruning_core.store.marker import MARKER
from pruning_core.store.resume import ResumeState
from pruning_core.training.loop import EpochState
from tests.helpers.factories import dense_spec, made

TIMES = int(os.environ.get("PRUNING_BENCH_FUZZ", "1"))
FILES = ("spec.json", "plan.json", "metrics.json", "weights.safetensors")
KEY = key_of(dense_spec())
STATE = EpochState(2, {"model.a": torch.arange(6.0), "momentum.a": torch.zeros(2)}, 0.5, 0.1, (1.0, 0.5))

NUMBERS = (b"-1", b"1e999", b"NaN", b"null", b"9" * 5000, b'"x"', b"[]", b"{}", b"true", b"[" * 2000)
"""What may come where a number was."""

fuzz = settings(
    max_examples=650 * TIMES,
    deadline=None,
    derandomize=TIMES == 1,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def alterations(draw):
    """Draw how bytes are altered: a function of bytes."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "replace", "repeat", "number"]))
    position = draw(st.floats(0, 1, exclude_max=True))
    new = draw(st.binary(min_size=1, max_size=40))
    number = draw(st.sampled_from(NUMBERS))

    def alter(content: bytes) -> bytes:
        at = int(position * max(len(content), 1))
        match kind:
            case "flip":
                changed = bytearray(content or b"\0")
                changed[at % len(changed)] ^= new[0] or 1
                return bytes(changed)
            case "cut":
                return content[:at]
            case "insert":
                return content[:at] + new + content[at:]
            case "replace":
                return new
            case "repeat":
                return content + content[at:]
            case _:  # a number of the text becomes another thing
                digits = [i for i, byte in enumerate(content[:4000]) if byte in b"0123456789"]
                if not digits:
                    return number
                i = digits[int(position * len(digits))]
                return content[:i] + number + content[i + 1 :]

    return alter


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Store one checkpoint; return its store and the bytes of its files."""
    store = Store(tmp_path_factory.mktemp("fuzz") / "store")
    path = store.get_or_make(dense_spec(), lambda _: made()).path
    return store, {name: (path / name).read_bytes() for name in FILES}


@fuzz
@given(st.sampled_from(FILES), alterations())
def test_an_altered_checkpoint_is_never_used(stored, name, alter):
    """Whatever became of a file: the checkpoint is as it was stored, or one line says what is wrong."""
    store, contents = stored
    folder = store.root / KEY
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for other, content in contents.items():
        (folder / other).write_bytes(alter(content) if other == name else content)
    refused = None
    try:
        loaded = store.load(KEY)
    except StoreError as error:
        refused = str(error)
    if refused is not None:
        assert len(refused.splitlines()) == 1
        return
    # Blanks of spec.json, or facts of it that decide nothing, may differ; what it holds may not.
    assert loaded.spec == dense_spec()
    assert (folder / "weights.safetensors").read_bytes() == contents["weights.safetensors"]
    assert (loaded.plan, loaded.metrics) == (made().plan, made().metrics)


@fuzz
@given(alterations())
def test_an_altered_state_is_never_resumed(tmp_path, alter):
    """A state is resumed as it was saved, or dropped in one line."""
    said = []
    path = tmp_path / f"{KEY}.safetensors"
    unfinished = ResumeState(path, notify=said.append)
    unfinished.save(STATE)
    content = path.read_bytes()
    path.write_bytes(alter(content))
    state = unfinished.load()
    if state is None:
        assert len(said) == 1
        assert not path.exists()
        return
    assert (state.epoch, state.seconds, state.overhead_s, state.losses) == (2, 0.5, 0.1, (1.0, 0.5))
    assert state.tensors.keys() == STATE.tensors.keys()
    assert all(torch.equal(state.tensors[n], STATE.tensors[n]) for n in STATE.tensors)


@settings(fuzz, max_examples=150 * TIMES)
@given(alterations(), st.sampled_from([MARKER, f"attempts/{KEY}.17.json", f"attempts/{KEY}.deaths.json"]))
def test_an_altered_marker_or_note_is_no_traceback(stored, alter, name):
    """A marker that cannot be read is one line; a note that cannot be read says nothing."""
    store, contents = stored
    shutil.rmtree(store.root / KEY, ignore_errors=True)
    (store.root / KEY).mkdir()
    for other, content in contents.items():
        (store.root / KEY / other).write_bytes(content)
    marker = json.dumps({"format": 1, "recipe_version": 2}).encode()
    (store.root / MARKER).write_bytes(marker)
    (store.root / "attempts").mkdir(exist_ok=True)
    original = marker if name == MARKER else b'{"pid": 17, "deaths": {"step": 2}, "conditions": {}}'
    (store.root / name).write_bytes(alter(original))
    refused = "one line"
    try:
        opened = Store(store.root)
        assert opened.get_or_make(dense_spec(), lambda _: made()).key == KEY
        opened.get_or_make(dense_spec(5), lambda _: made())
        shutil.rmtree(store.root / key_of(dense_spec(5)))
        opened.collect_garbage()
    except PruningBenchError as error:
        refused = str(error)
    assert len(refused.splitlines()) == 1
