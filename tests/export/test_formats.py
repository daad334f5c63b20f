"""Each format holds the network: its public runtime alone answers alike; a changed weight is found."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from pruning_core.errors import BackendError, ExportError, OptionError, UnavailableError, UnknownNameError
from pruning_core.export import EXPORTS, executorch, find_format
from pruning_core.export.base import ExportFormat
from pruning_core.export.inputs import Where, load_own_dataset
from pruning_core.export.public_runtime import open_in_public_runtime
from pruning_core.models.copying import copy_network
from pruning_core.progress import ProgressDisplay
from tests.helpers.exports import export_to, open_shop

HERE = [name for name in EXPORTS if name != "executorch"]
CASES = [(name, precision) for name in HERE for precision in EXPORTS[name].precisions]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Make checkpoints of a residual, concatenated, grouped, gated network of somebody else's."""
    with open_shop(tmp_path_factory.mktemp("shop")) as made:
        yield made


def path_for(name, folder):
    """Return where to write a format in a folder."""
    return folder / f"out{EXPORTS[name].ending}"


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_a_pruned_network_round_trips(name, precision, shop, tmp_path):
    """The file of each format and precision answers on all test images, and is all that is left behind."""
    result = export_to(name, path_for(name, tmp_path), shop.pruned, precision)
    assert result.n == 70
    assert result.agreement >= 0.95
    assert result.accuracy is not None
    form = EXPORTS[name]
    assert {path.name for path in tmp_path.iterdir()} == {
        p.name for p in form.files(path_for(name, tmp_path))
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_a_transformer_round_trips(name, tmp_path):
    """A pruned transformer, position embedding and attention included, answers in every format."""
    with open_shop(tmp_path, "build_transformer") as made:
        assert export_to(name, path_for(name, tmp_path), made.pruned).difference < 1e-5


@pytest.mark.slow
def test_a_vision_transformer_round_trips_in_fp16(tmp_path):
    """A library's pruned ViT in fp16, LayerNorm and attention included, predicts what it does in fp32."""
    pytest.importorskip("timm")
    with open_shop(tmp_path, "timm:test_vit") as made:
        for name in ("onnx", "openvino", "torch"):
            result = export_to(name, path_for(name, tmp_path), made.pruned, "fp16")
            assert 1e-6 < result.difference < 5e-3
            assert result.agreement >= 0.95


def change_a_weight(material):
    """Return the material with one weight of its network negated: the largest of a convolution."""
    network = copy_network(material.network)
    weight = network.inner.weight.data.view(-1)
    weight[weight.abs().argmax()] *= -1
    return replace(material, network=network)


@pytest.mark.parametrize(("name", "precision"), [*((name, "fp32") for name in HERE), ("onnx", "int8")])
def test_one_changed_weight_is_found(name, precision, shop, tmp_path, monkeypatch):
    """A file with one weight of another sign is refused, and nothing of it is left; what was there stays."""
    write = type(EXPORTS[name]).write
    monkeypatch.setattr(
        type(EXPORTS[name]),
        "write",
        lambda self, material, path: write(self, change_a_weight(material), path),
    )
    with pytest.raises(ExportError, match=f"the {name} file does not answer as the network in {precision}"):
        export_to(name, path_for(name, tmp_path), shop.pruned, precision)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", HERE)
def test_a_refused_file_replaces_nothing(name, shop, tmp_path, monkeypatch):
    """With --force what stood there is replaced by a sound file only."""
    path = path_for(name, tmp_path)
    export_to(name, path, shop.pruned)
    before = {item: item.read_bytes() for item in tmp_path.rglob("*") if item.is_file()}
    with pytest.raises(OptionError, match="is there already: replace it with --force"):
        export_to(name, path, shop.pruned)
    write = type(EXPORTS[name]).write
    with monkeypatch.context() as patch:
        patch.setattr(type(EXPORTS[name]), "write", lambda s, m, p: write(s, change_a_weight(m), p))
        with pytest.raises(ExportError):
            export_to(name, path, shop.pruned, force=True)
    assert {item: item.read_bytes() for item in tmp_path.rglob("*") if item.is_file()} == before
    export_to(name, path, shop.pruned, force=True)
    after = {item: item.read_bytes() for item in tmp_path.rglob("*") if item.is_file()}
    assert after == before, "the same network does not give the same bytes"


ONNX_ALONE = """
import json, sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
pixels, labels = np.load(sys.argv[2]), np.load(sys.argv[3])
mean, std = (np.float32(json.loads(about[name]))[:, None, None] for name in ("mean", "std"))
logits = session.run(["logits"], {"images": ((pixels / np.float32(255)) - mean) / std})[0]
found = {name.partition(".")[0] for name in sys.modules} & {"torch", "pruning_core", "torch_pruning"}
print(json.dumps({"accuracy": float((logits.argmax(1) == labels).mean()), "found": sorted(found),
                  "names": json.loads(about["class_names"]), "key": about["key"]}))
"""


def test_onnx_runs_with_onnxruntime_and_numpy_alone(shop, tmp_path):
    """From raw pixels and the file's own metadata a process without torch gets the checkpoint's accuracy."""
    import numpy as np
    import outside_images

    export_to("onnx", tmp_path / "net.onnx", shop.pruned)
    data = outside_images.load()
    np.save(tmp_path / "pixels.npy", data.test.images.numpy())
    np.save(tmp_path / "labels.npy", data.test.labels.numpy())
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            ONNX_ALONE,
            *(str(tmp_path / n) for n in ("net.onnx", "pixels.npy", "labels.npy")),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        check=True,
    )
    assert json.loads(ended.stdout) == {
        "accuracy": pytest.approx(shop.pruned.metrics.accuracy),
        "found": [],
        "names": list(data.class_names),
        "key": shop.pruned.key,
    }


def metadata_of(name, path):
    """Read a file's metadata by its public library."""
    if name == "python":
        return json.loads((path / "metadata.json").read_text())
    if name == "torch":
        extra = {"metadata.json": ""}
        torch.export.load(path, extra_files=extra)
        return json.loads(extra["metadata.json"])
    if name == "onnx":
        import onnx

        texts = {item.key: item.value for item in onnx.load(path).metadata_props}
    else:
        import openvino

        info = openvino.Core().read_model(path).get_rt_info("pruning_bench")
        texts = {key: item.value for key, item in info.astype(dict).items()}
    as_they_are = {
        "key",
        "model",
        "dataset",
        "dataset_fingerprint",
        "method",
        "precision",
        "scale",
        "created",
    }
    return {key: text if key in as_they_are else json.loads(text) for key, text in texts.items()}


@pytest.mark.parametrize("name", HERE)
def test_what_a_file_says_of_itself(name, shop, tmp_path):
    """Class names (quotes and umlauts too), size, normalisation, key, ratio and method are in the file."""
    path = path_for(name, tmp_path)
    export_to(name, path, shop.pruned)
    found, spec = metadata_of(name, path), shop.pruned.spec
    assert found["class_names"] == list(shop.pruned.metrics.class_names)
    assert (found["key"], found["ratio"], found["method"]) == (shop.pruned.key, 0.5, "magnitude")
    assert (found["mean"], found["std"]) == (list(spec.dataset.mean), list(spec.dataset.std))
    assert (found["input_size"], found["accuracy"]) == ([3, 16, 16], shop.pruned.metrics.accuracy)
    assert {"torch", "pruning-bench"} <= found["versions"].keys()


def test_names_of_classes_are_those_of_the_images_at_hand(shop, tmp_path):
    """A class that was renamed since the training has its new name; without images it has the stored one."""
    data = load_own_dataset(shop.pruned.spec.dataset, Where(shop.store / "datasets"), ProgressDisplay())
    renamed = replace(data, class_names=tuple(f"new {name}" for name in data.class_names))
    for dataset, names in ((renamed, renamed.class_names), (None, shop.pruned.metrics.class_names)):
        path = tmp_path / f"{'stored' if dataset is None else 'new'}.onnx"
        export_to("onnx", path, shop.pruned, dataset=dataset)
        assert metadata_of("onnx", path)["class_names"] == list(names)


def test_where_this_program_lies_is_not_written(shop, tmp_path):
    """A .pt2 does not name the folders of the machine that wrote it."""
    export_to("torch", tmp_path / "net.pt2", shop.pruned)
    assert str(shop.folder).encode() not in (tmp_path / "net.pt2").read_bytes()
    assert b"site-packages" not in (tmp_path / "net.pt2").read_bytes()


def test_the_loader_is_short_and_needs_nothing_of_ours(shop, tmp_path):
    """The Python file applies the plan in 60 lines, and names neither this program nor torch-pruning."""
    export_to("python", tmp_path / "net", shop.pruned)
    text = (tmp_path / "net" / "network.py").read_text()
    code = [line for line in text.partition("def load")[2].splitlines() if line.strip()]
    assert len(code) <= 60
    assert "pruning_core" not in text
    assert "torch_pruning" not in text
    assert (tmp_path / "net" / "modules" / "outside_network.py").read_bytes() == (
        shop.folder / "outside_network.py"
    ).read_bytes()


def test_a_module_that_needs_this_program_is_refused(shop, tmp_path):
    """A user's file that imports pruning_core cannot go into a folder that runs without it."""
    export_to("python", tmp_path / "net", shop.pruned)
    module = tmp_path / "net" / "modules" / "outside_network.py"
    module.write_text(f"import pruning_core\n{module.read_text()}")
    opening = open_in_public_runtime(EXPORTS["python"], tmp_path / "net", 1)
    with pytest.raises(ExportError, match="pruning_core"):
        opening.__enter__()


class Imports(ExportFormat):
    """A format whose reader imports what it must not."""

    name, ending, precisions = "imports", ".x", ("fp32",)
    reader = "import pruning_core\nruntime = 'x'\ndef predict(images):\n    return images[:, 0, 0, :4]\n"

    def write(self, material, path):
        path.write_text("x")


def test_a_reader_that_imports_this_program_is_found(shop, tmp_path, monkeypatch):
    """What runs only with this program installed is no export."""
    monkeypatch.setitem(EXPORTS, "imports", Imports())
    monkeypatch.setattr("pruning_core.export.public_runtime._environment", lambda: dict(os.environ))
    with pytest.raises(ExportError, match="reading the imports file imports pruning_core"):
        export_to("imports", tmp_path / "a.x", shop.pruned)


class Dies(Imports):
    """A format whose reader dies in native code."""

    name = "dies"
    reader = (
        "import os, signal\nruntime = 'x'\ndef predict(images):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    )


def test_a_reader_that_dies_is_named(shop, tmp_path, monkeypatch):
    """A runtime that ends by a signal refuses the file, in one line."""
    monkeypatch.setitem(EXPORTS, "dies", Dies())
    with pytest.raises(ExportError, match="cannot run on 1 images: its process was killed by signal 11"):
        export_to("dies", tmp_path / "a.x", shop.pruned)


def test_formats_that_are_not_here():
    """An unknown format, a precision that it lacks, and a missing package are one line each."""
    with pytest.raises(UnknownNameError, match=r"no export format 'onx'\. Did you mean 'onnx'"):
        find_format("onx", "fp32")
    with pytest.raises(OptionError, match="format 'python' has no precision 'int8'; it has: fp32"):
        find_format("python", "int8")
    with pytest.raises(OptionError, match="format 'openvino' has no precision 'bf16'"):
        find_format("openvino", "bf16")


def test_a_missing_package_says_what_to_install(monkeypatch):
    """A format whose package is not here names the extra that has it."""
    monkeypatch.setattr(executorch.ExecuTorch, "packages", ("no_such_package",))
    with pytest.raises(
        UnavailableError, match=r"no_such_package, not installed.*pruning-bench\[executorch\]"
    ):
        find_format("executorch", "fp32")


def test_executorch_round_trips(shop, tmp_path):
    """Where ExecuTorch is installed, its file answers too."""
    pytest.importorskip("executorch")
    assert export_to("executorch", tmp_path / "net.pte", shop.pruned).difference < 1e-4


class Branches(torch.nn.Module):
    """A network that does something else for bright images."""

    def forward(self, images):
        head = images.flatten(1)[:, :4]
        return head * 2 if images[0, 0, 0, 0] > -0.3 else -head


@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_a_network_that_no_export_can_follow(name, shop, tmp_path, monkeypatch):
    """A forward that branches on its images is refused: by the exporter, or because answers differ."""
    monkeypatch.setattr("tests.helpers.exports.load_network", lambda checkpoint: Branches())
    with pytest.raises((BackendError, ExportError), match="branch on its input"):
        export_to(name, path_for(name, tmp_path), shop.pruned)
    assert list(tmp_path.iterdir()) == []
