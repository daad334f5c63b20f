"""timm's networks by name, where timm is installed; where it is not, one line says how to get it."""

import importlib.metadata

import pytest
import torch

from pruning_core.errors import ModelError, OptionError, UnknownNameError
from pruning_core.models import (
    build_model,
    check_model_name,
    default_image,
    expand_models,
    model_spec,
)

try:
    VERSION = importlib.metadata.version("timm")
except importlib.metadata.PackageNotFoundError:
    VERSION = ""
with_timm = pytest.mark.skipif(not VERSION, reason="timm is not installed")


def test_without_timm_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    """Neither an empty folder of that name nor a file of the user's is taken for it."""

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    (tmp_path / "timm.py").write_text("def vit(classes, channels):\n    return None\n")
    monkeypatch.chdir(tmp_path)
    from pruning_core.models import timm_zoo

    timm_zoo._names.cache_clear()
    for ask in (check_model_name, default_image, lambda n: build_model(n, 10, (3, 32, 32))):
        with pytest.raises(
            OptionError, match=r"^timm is not installed: pip install 'pruning-bench\[timm\]'$"
        ):
            ask("timm:vit")
    with pytest.raises(OptionError, match="timm is not installed"):
        expand_models(["timm:*"])


@with_timm
@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("test_vit", (3, 160, 160)),
        ("resnet18", (3, 224, 224)),
        ("vit_base_patch16_384", (3, 384, 384)),
        ("resnet50.a1_in1k", (3, 224, 224)),
        ("tf_efficientnet_b7", (3, 600, 600)),
    ],
)
def test_each_network_has_its_own_input_size(name, image):
    """The size is that of timm's configuration; a tag of published weights may stand at the end."""
    assert default_image(f"timm:{name}") == image
    check_model_name(f"timm:{name}")


@with_timm
def test_every_name_has_an_input_size():
    """Of every network of timm the size is known without building it."""
    names = expand_models(["timm:*"])
    assert len(names) > 1000
    assert all(len(default_image(name)) == 3 for name in names)


@with_timm
@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("test_vit", (3, 160, 160)),  # its own
        ("test_vit", (1, 32, 48)),  # made for another size and one channel
        ("test_resnet", (1, 48, 32)),  # takes any size
        ("test_mambaout", (3, 64, 64)),
        ("mixer_s32_224", (3, 64, 64)),
        ("swin_tiny_patch4_window7_224", (4, 56, 56)),
    ],
)
def test_any_classes_channels_and_size(name, image):
    """A network has as many outputs as asked for, and takes images of the dataset's shape."""
    network = build_model(f"timm:{name}", 7, image)
    assert network.training
    with torch.inference_mode():
        assert network.eval()(torch.zeros(2, *image)).shape == (2, 7)


@with_timm
def test_the_seed_alone_decides_the_weights():
    """One seed gives one network, another another."""
    first, second, other = (
        dict(build_model("timm:test_vit", 4, (3, 32, 32), seed).named_parameters()) for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["pos_embed"], other["pos_embed"])


@with_timm
def test_the_librarys_version_enters_the_spec():
    """Another timm may build another network."""
    assert model_spec("timm:test_vit", 10, (3, 32, 32)).library == f"timm {VERSION}"


@with_timm
def test_images_that_a_network_cannot_take():
    """What does not fit is one line with the network's own size."""
    with pytest.raises(
        ModelError, match=r"images of 3×50×50: .*; its own input size is 3×160×160"
    ) as refused:
        build_model("timm:test_vit", 10, (3, 50, 50))
    assert "\n" not in str(refused.value)


@with_timm
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnet81", "Did you mean 'timm:resnet18'"),
        ("timm:resnet50.no_such_tag", "Did you mean 'timm:resnet50'"),
        ("timm:hf-hub:timm/resnet50.a1_in1k", "no model 'timm:hf-hub:timm/resnet50.a1_in1k'"),
        ("timm:local-dir:x", "no model 'timm:local-dir:x'"),
    ],
)
def test_a_name_that_there_is_not(name, said):
    """A wrong name gets the closest one; nothing is downloaded by a name; the line stays short."""
    with pytest.raises(UnknownNameError) as refused:
        check_model_name(name)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 700
