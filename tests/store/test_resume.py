"""The state of a training that was broken off is resumed as it was saved, or dropped in one line."""

import json

import pytest
import torch

from pruning_core.config.spec import key_of
from pruning_core.store.resume import ResumeState
from pruning_core.training.loop import EpochState
from tests.helpers.factories import dense_spec

KEY = key_of(dense_spec())
STATE = EpochState(1, {"model.a": torch.ones(3, 2), "momentum.a": torch.zeros(2)}, 0.5, 0.1, (1.0,))


@pytest.mark.parametrize("seed", range(60))
def test_an_altered_state_is_not_resumed(tmp_path, seed):
    """A state with any byte altered, cut or of another key is dropped in one line, never used."""
    said = []
    unfinished = ResumeState(tmp_path / f"{KEY}.safetensors", notify=said.append)
    unfinished.save(STATE)
    path = tmp_path / f"{KEY}.safetensors"
    content = bytearray(path.read_bytes())
    generator = torch.Generator().manual_seed(seed)
    at = int(torch.randint(len(content), (), generator=generator))
    content[at] ^= 1 << seed % 8
    path.write_bytes(content)
    loaded = unfinished.load()
    if loaded is not None:  # an altered blank between the parts of the header
        assert loaded.tensors.keys() == STATE.tensors.keys()
        assert all(torch.equal(loaded.tensors[n], STATE.tensors[n]) for n in STATE.tensors)
        return
    assert len(said) == 1
    assert "dropped, and the training begins again" in said[0]
    assert not path.exists()


def test_a_state_of_another_training_is_not_resumed(tmp_path):
    """A state that lies under another key's name is dropped."""
    said = []
    ResumeState(tmp_path / f"{KEY}.safetensors").save(STATE)
    other = f"{key_of(dense_spec(3))}.safetensors"
    (tmp_path / f"{KEY}.safetensors").rename(tmp_path / other)
    assert ResumeState(tmp_path / other, notify=said.append).load() is None
    assert len(said) == 1


def test_a_state_of_an_earlier_version_is_resumed(tmp_path):
    """The seconds beside the steps once stood under another name in a state's header."""
    import safetensors.torch

    path = tmp_path / f"{KEY}.safetensors"
    ResumeState(path).save(STATE)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert '"overhead_s"' in header["state"]
    header["state"] = header["state"].replace('"overhead_s"', '"outside_s"')
    path.write_bytes(safetensors.torch.save(safetensors.torch.load(content), metadata=header))
    state = ResumeState(path).load()
    assert (state.epoch, state.overhead_s, state.losses) == (STATE.epoch, STATE.overhead_s, STATE.losses)


def test_a_state_from_before_hashes_is_dropped(tmp_path):
    """What an earlier version saved has no hash: the training begins again, in one line, no traceback."""
    import safetensors.torch

    said = []
    about = {"epoch": 1, "seconds": 1.0, "outside_s": 0.1, "losses": [1.0]}
    path = tmp_path / f"{KEY}.safetensors"
    path.write_bytes(safetensors.torch.save(STATE.tensors, metadata={"state": json.dumps(about)}))
    assert ResumeState(path, notify=said.append).load() is None
    assert len(said) == 1
