"""A folder of plain Python builds a network of each kind by itself, weights made plain among them."""

import shutil

import pytest
import torch

from pruning_core.chain.networks import build_network
from pruning_core.config.spec import DenseSpec, ModelSpec, TrainSpec
from pruning_core.errors import ModelError
from pruning_core.export.base import Material
from pruning_core.export.public_runtime import open_in_public_runtime
from pruning_core.export.python import PlainPython
from pruning_core.pruning.plain import make_plain
from tests.helpers.exports import HELPERS
from tests.helpers.factories import DIGITS_8


def material_of(name, change=lambda network: None):
    """Return a network of that name whose weights are not those it is built with."""
    spec = DenseSpec(model=ModelSpec(name=name), dataset=DIGITS_8, train=TrainSpec())
    network = build_network(spec, seed=5).eval()
    change(network)
    example = torch.zeros(1, 3, 32, 32)
    return Material(network, lambda: build_network(spec), spec, example, "fp32", 1, None, {"key": "k"}, 1.0)


def check_folder(material, path):
    """Write a folder, and compare what it answers with the network."""
    PlainPython().write(material, path)
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with open_in_public_runtime(PlainPython(), path, 1) as runtime, torch.inference_mode():
        torch.testing.assert_close(runtime.predict(images), material.network(images), rtol=1e-4, atol=1e-4)
        assert not {"pruning_core", "torch_pruning"} & {*runtime.close()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2",
        "resnet20",
        "wrn_16_2",
        "torchvision:shufflenet_v2_x0_5",
        "timm:test_vit",
        "timm:test_resnet",
    ],
)
def test_libraries_build_what_they_built(name, tmp_path):
    """Built-in networks and those of a library are built by that library alone."""
    if name.startswith("timm"):
        pytest.importorskip("timm")
    check_folder(material_of(name), tmp_path / "net")


def test_a_network_of_several_files(tmp_path, monkeypatch):
    """A user's module goes with the files that it imports; weights that pruning made plain are so."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(HELPERS / "outside_network.py", tmp_path / "blocks_of_mine.py")
    (tmp_path / "normed_nets.py").write_text(
        "import numpy\nimport torch\nfrom blocks_of_mine import Outside\n\n\n"
        "def build(classes, channels):\n"
        "    network = Outside(classes, channels)\n"
        "    torch.nn.utils.parametrizations.weight_norm(network.inner)\n"
        "    network.wide.shift = numpy.random.rand()\n"
        "    return network\n"
    )
    check_folder(material_of("normed_nets:build"), tmp_path / "as_it_is")
    check_folder(material_of("normed_nets:build", make_plain), tmp_path / "net")
    assert {path.name for path in (tmp_path / "net" / "modules").iterdir()} == {
        "normed_nets.py",
        "blocks_of_mine.py",
        "plain_weights.py",
    }


def test_a_module_of_the_name_of_the_file_is_refused(tmp_path, monkeypatch):
    """What is written is called network.py: a module `network` of a user's would import it for itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.py").write_text((HELPERS / "outside_network.py").read_text())
    with pytest.raises(ModelError, match="imports a module called network"):
        PlainPython().write(material_of("network:build"), tmp_path / "net")


def test_a_module_that_imports_this_program_is_refused(tmp_path, monkeypatch):
    """A user's module that imports pruning_core cannot run without it: refused before anything is written."""
    monkeypatch.chdir(tmp_path)
    text = (HELPERS / "outside_network.py").read_text()
    (tmp_path / "needing_nets.py").write_text(f"import pruning_core\n{text}")
    with pytest.raises(ModelError, match="needing_nets:build imports pruning_core"):
        PlainPython().write(material_of("needing_nets:build"), tmp_path / "net")
    assert not (tmp_path / "net").exists()
