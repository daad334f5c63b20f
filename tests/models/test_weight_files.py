"""A file of weights is read whatever it holds, and nothing of it is run."""

import argparse
import collections
import io
import os
import pathlib
import pickle
import resource
import struct
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from pruning_core.errors import ModelError
from pruning_core.models.weights.files import read_weights_file

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2)}
RUN: list[str] = []


def run(text):
    """Note that it was called."""
    RUN.append(text)


class Calls:
    """Is unpickled by calling a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Network(nn.Module):
    """A network that is pickled whole."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Linear(3, 2)


@pytest.fixture
def read(tmp_path):
    """Return a function that saves content, or writes bytes, and reads the file."""

    def read(content, name="best.pt", key="", **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path, **options)
        return read_weights_file(path, key)

    return read


def saved(content, **options):
    """Return what torch.save writes."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def same(found, expected=STATE):
    """Tell whether tensors are those expected, by name and to the last bit."""
    return found.keys() == expected.keys() and all(torch.equal(found[n], expected[n]) for n in expected)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", ["", "state_dict", "model", "model_state_dict", "ema", "net"])
def test_a_state_dict_is_found_where_it_usually_stands(read, zipped, key):
    """It may be the whole file, or stand under one of the usual names, in the old format too."""
    content = {key: STATE, "epoch": 3} if key else STATE
    found = read(content, _use_new_zipfile_serialization=zipped)
    assert same(found.tensors)
    assert found.notes == ()


def test_safetensors_are_read(read):
    """The same tensors come out of the other format, whatever the file is called."""
    assert same(read(safetensors.torch.save(STATE), "best.safetensors").tensors)
    assert same(read(safetensors.torch.save(STATE), "best.bin").tensors)


def test_what_a_training_keeps_beside_its_weights_is_no_obstacle(read):
    """Optimizer, arguments, numbers of numpy and paths are passed over; none of these objects is made."""
    extras = {
        "optimizer": torch.optim.AdamW(Network().parameters()).state_dict(),
        "args": argparse.Namespace(rate=0.1, output=pathlib.Path("runs")),
        "best": np.float64(0.5),
        "curve": np.zeros(3),
        "accuracy": torch.tensor(0.9),
        "done": {1, 2},
        "history": collections.defaultdict(list, loss=[0.5]),
        "seen": collections.Counter("aab"),
    }
    assert same(read({"model": STATE, **extras}).tensors)


def test_of_several_state_dicts_one_is_taken_and_named(read):
    """The averaged weights go before the others; a key takes the others."""
    averaged = {name: tensor + 1 for name, tensor in STATE.items()}
    content = {"model": STATE, "model_ema": averaged}
    found = read(content)
    assert same(found.tensors, averaged)
    assert found.notes == (
        "the weights under 'model_ema' were taken, not those under 'model' (FILE#KEY takes others)",
    )
    chosen = read(content, key="model")
    assert same(chosen.tensors)
    assert chosen.notes == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"generator": STATE}, "under none of the usual keys; name one of generator: FILE#generator"),
        ({"epoch": 3}, "holds no tensors by name"),
        ([STATE], "holds a list, and no state dict"),
        (torch.zeros(3), "holds a Tensor, and no state dict"),
        (STATE | {"conv.weight": torch.eye(3).to_sparse()}, "tensors of another kind"),
        (STATE | {"conv.weight": torch.zeros(3, device="meta")}, "tensors of another kind"),
        (
            Network(),
            r"holds a whole network \(tests\.models\.test_weight_files\.Network\), and no code is run",
        ),
        (nn.Sequential(nn.Linear(2, 2)), "holds a whole network .*state_dict"),
    ],
)
def test_what_is_no_state_dict_is_refused_in_one_line(read, content, said):
    """The line names the file, what it holds, and what to do."""
    with pytest.raises(ModelError, match=f"^weights .*best.pt: .*{said}") as caught:
        read(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "write",
    [
        lambda evil: saved({"state_dict": STATE, "note": evil}),
        lambda evil: saved({"state_dict": STATE, "note": evil}, _use_new_zipfile_serialization=False),
        lambda evil: saved({"state_dict": STATE, "note": evil}, pickle_protocol=4),
        lambda evil: saved(evil),
        lambda evil: pickle.dumps(evil),
        lambda evil: pickle.dumps(evil, protocol=2),
        lambda evil: pickle.dumps(evil, protocol=0),
    ],
)
@pytest.mark.parametrize("function", ["system", "open", "eval", "own", "bytearray"])
def test_nothing_of_a_malicious_file_is_run(tmp_path, monkeypatch, read, write, function):
    """A pickle that names a function is refused in one line, and the function is not called."""
    monkeypatch.chdir(tmp_path)
    calls = {
        "system": Calls(os.system, "touch evil"),
        "open": Calls(open, "evil", "w"),
        "eval": Calls(eval, "open('evil', 'w')"),
        "own": Calls(run, "evil"),
        "bytearray": Calls(bytearray, 20_000_000_000),
    }
    with pytest.raises(ModelError, match=r"^weights .*best\.pt: ") as caught:
        read(write(calls[function]))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "evil").exists()
    assert RUN == []


def test_the_line_says_what_a_malicious_file_names(read):
    """Whoever was sent such a file learns what it would have called."""
    with pytest.raises(ModelError, match=r"it holds more than tensors \(posix\.system\), and no code is run"):
        read({"state_dict": STATE, "note": Calls(os.system, "true")})


def header(text, claimed=None):
    """Return the beginning of a `.safetensors`: the length of its header, and the header."""
    return struct.pack("<Q", len(text) if claimed is None else claimed) + text


@pytest.mark.parametrize(
    "content",
    [
        header(b'{"a":{}}', 20_000_000_000),
        header(b'{"a":{}}', 2**64 - 1),
        header(b'{"a":{"dtype":"F32","shape":[5000000000],"data_offsets":[0,20000000000]}}'),
        header(b'{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}') + bytes(4),
        header(b'{"a":{"dtype":"X99","shape":[1],"data_offsets":[0,4]}}') + bytes(4),
    ],
    ids=["header", "largest header", "tensor", "product", "type"],
)
def test_a_safetensors_that_claims_too_much_costs_no_memory(read, content):
    """What a header claims is compared with the file, and nothing is made for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=r"^weights .*best\.safetensors: .*truncated or damaged") as caught:
        read(content, "best.safetensors")
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


def test_a_claim_is_refused_where_memory_is_scarce(tmp_path):
    """With no more address space than the process has, the line is the same, and no MemoryError."""
    path = tmp_path / "best.safetensors"
    path.write_bytes(header(b'{"a":{}}', 20_000_000_000))
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, limits[1]))
    try:
        with pytest.raises(ModelError, match="its header claims 20,000,000,000 bytes, and the file has 16"):
            read_weights_file(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize(
    "whole",
    [saved(STATE), saved(STATE, _use_new_zipfile_serialization=False), safetensors.torch.save(STATE)],
    ids=["zip", "legacy", "safetensors"],
)
def test_a_truncated_file_is_refused_in_one_line(read, whole):
    """Wherever it ends."""
    for length in (1, 3, 8, 9, 30, len(whole) // 2, len(whole) - 1):
        with pytest.raises(ModelError, match=r"^weights .*best\.pt: ") as caught:
            read(whole[:length])
        assert "\n" not in str(caught.value), length


def zipped(names, compression=zipfile.ZIP_STORED):
    """Return a zip file of names and contents."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"hello, world", "weights are a .safetensors file, or a state dict that torch.save wrote"),
        (zipped({"a.txt": "x"}), "it is a zip file, but not one that torch.save wrote"),
        (zipped({"a/constants.pkl": "x", "a/data.pkl": "x"}), "network of TorchScript"),
        (
            zipped(
                {"a/data.pkl": pickle.dumps({}, protocol=2), "a/data/0": bytes(10**6)}, zipfile.ZIP_DEFLATED
            ),
            "a compressed zip file",
        ),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_line(read, content, said):
    """The line says what it is, or what is read."""
    with pytest.raises(ModelError, match=rf"^weights .*best\.pt: .*{said}") as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_a_record_with_a_wrong_bit_is_refused_in_one_line(read):
    """A tensor that was damaged on the way is not taken for trained weights: the record is named."""
    whole = saved(STATE)
    first = whole.index(STATE["conv.weight"].numpy().tobytes())
    with pytest.raises(ModelError, match=r"its record '.*/data/0' is damaged: .* checksum") as caught:
        read(whole[:first] + bytes([whole[first] ^ 1]) + whole[first + 1 :])
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    """A folder, a pipe that nobody writes to, a device, a name that is too long, and nothing at all."""
    os.mkfifo(tmp_path / "pipe.pt")
    for path, said in [
        (tmp_path, "folder|directory"),
        (tmp_path / "pipe.pt", "it is a pipe or a device"),
        (pathlib.Path("/dev/zero"), "it is a pipe or a device"),
        (tmp_path / "gone.pt", "No such file"),
        (tmp_path / ("x" * 300), "too long"),
    ]:
        with pytest.raises(ModelError, match=rf"^weights .*: .*({said})"):
            read_weights_file(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused_in_one_line(tmp_path):
    """The line is the system's."""
    path = tmp_path / "best.pt"
    path.write_bytes(saved(STATE))
    path.chmod(0)
    with pytest.raises(ModelError, match="Permission denied"):
        read_weights_file(path)
