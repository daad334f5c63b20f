"""torchvision's networks by name: which there are, for which images, and what is refused."""

import importlib.metadata

import pytest
import torch

from pruning_core.config.parse import LIBRARIES
from pruning_core.config.spec import DenseSpec, TrainSpec, key_of
from pruning_core.errors import ModelError, OptionError, UnknownNameError
from pruning_core.models import (
    MODELS,
    ZOOS,
    build_model,
    check_model_name,
    default_image,
    expand_models,
    model_spec,
)
from tests.helpers.factories import DIGITS_8

NAMES = ZOOS["torchvision"].names()

# Of 0.26 and later; all others are made for 224×224.
OTHER_SIZES = {
    "efficientnet_b1": 240, "efficientnet_b2": 288, "efficientnet_b3": 300, "efficientnet_b4": 380,
    "efficientnet_b5": 456, "efficientnet_b6": 528, "efficientnet_b7": 600, "efficientnet_v2_s": 384,
    "efficientnet_v2_m": 480, "efficientnet_v2_l": 480, "inception_v3": 299, "swin_v2_t": 256,
    "swin_v2_s": 256, "swin_v2_b": 256,
}  # fmt: skip


def test_all_networks_for_classification_are_there():
    """Each family is there under torchvision's own names; nothing that detects, segments or is quantized."""
    assert len(NAMES) >= 80
    for name in ("alexnet", "convnext_tiny", "maxvit_t", "regnet_y_128gf", "swin_v2_b", "vit_h_14"):
        assert name in NAMES
    assert not [n for n in NAMES if any(w in n for w in ("rcnn", "fcn", "deeplab", "raft", "r3d", "quant"))]


@pytest.mark.parametrize("name", NAMES)
def test_each_network_has_its_own_input_size(name):
    """The size is that of the weights' preset; nothing is built or downloaded."""
    side = OTHER_SIZES.get(name, 224)
    assert default_image(f"torchvision:{name}") == (3, side, side)
    check_model_name(f"torchvision:{name}")


def test_the_reserved_names_are_the_libraries():
    """What is told from a user's module without importing torch is what has networks."""
    assert tuple(ZOOS) == LIBRARIES


def test_ours_and_a_users_own():
    """The built-in networks are for small images; of a user's own nothing is known."""
    assert {default_image(name) for name in MODELS} == {(3, 32, 32)}
    assert default_image("my_nets:build") is None


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small", "swin_t"])
def test_any_number_of_classes_and_another_size(name):
    """A network has as many outputs as asked for, and takes another size than its own."""
    network = build_model(f"torchvision:{name}", 7, (3, 64, 96))
    assert network.training
    with torch.inference_mode():
        assert network.eval()(torch.zeros(2, 3, 64, 96)).shape == (2, 7)


@pytest.mark.parametrize(("name", "side"), [("vit_b_32", 64), ("maxvit_t", 448)])
def test_a_network_made_for_a_size_is_made_for_the_one_asked_for(name, side):
    """Position embeddings fit the images of the dataset."""
    network = build_model(f"torchvision:{name}", 7, (3, side, side))
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, side, side)).shape == (1, 7)


@pytest.mark.parametrize(("name", "side"), [("googlenet", 64), ("inception_v3", 299)])
def test_auxiliary_outputs_are_kept(name, side):
    """They are there in training and not in evaluation, and building says nothing (warnings are errors)."""
    network = build_model(f"torchvision:{name}", 5, (3, side, side))
    trained = network.train()(torch.zeros(2, 3, side, side))
    assert all(output.shape == (2, 5) for output in trained if output is not None)
    assert sum(output is not None for output in trained) >= 2


def test_the_seed_alone_decides_the_weights():
    """One seed gives one network, and torch's generator is left alone."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second, other = (build_model("torchvision:squeezenet1_1", 4, (3, 64, 64), s) for s in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    weights = [network.features[0].weight for network in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("name", "image", "said"),
    [
        ("squeezenet1_1", (1, 64, 64), "it takes images of 3 channels, not 1, as networks of timm"),
        ("vit_b_32", (3, 64, 32), "for images of 3×64×32: it takes square images"),
        ("vit_b_32", (3, 50, 50), "indivisible by patch size; its own input size is 3×224×224"),
        ("maxvit_t", (3, 64, 64), "its own input size is 3×224×224"),
        ("alexnet", (3, 8, 8), "cannot take images of 3×8×8: .*; its own input size is 3×224×224"),
    ],
)
def test_images_that_a_network_cannot_take(name, image, said):
    """What does not fit is one line with the network's own size."""
    with pytest.raises(ModelError, match=said) as refused:
        build_model(f"torchvision:{name}", 10, image)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:resnet81", "Did you mean 'torchvision:resnet18'"),
        ("torchvision:ResNet18", "Did you mean 'torchvision:resnet18'"),
        ("torchvision:fasterrcnn_resnet50_fpn", "of networks for classification"),
        ("torchvision:", "no model 'torchvision:'"),
        ("torchvision:resnet18 ", "Did you mean 'torchvision:resnet18'"),
        ("torchvision:a\x1b[31mb:c", "no model 'torchvision:a"),
        ("vit_b_16", "Did you mean 'torchvision:vit_b_16'"),
    ],
)
def test_a_name_that_there_is_not(name, said):
    """A wrong name gets the closest one, and a few more, however many there are."""
    for ask in (check_model_name, lambda n: model_spec(n, 10, (3, 32, 32))):
        with pytest.raises(UnknownNameError) as refused:
            ask(name)
        assert said in str(refused.value)
        assert len(str(refused.value)) < 700


def test_the_librarys_version_enters_the_key(monkeypatch):
    """Another torchvision may build another network; the build of a version, as `+cpu`, does not count."""

    def key(version):
        monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
        spec = model_spec("torchvision:resnet18", 10, (3, 32, 32))
        return key_of(DenseSpec(model=spec, dataset=DIGITS_8, train=TrainSpec()))

    assert key("0.28.0+cpu") == key("0.28.0+cu130") == key("0.28.0")
    assert key("0.28.0") != key("0.28.1")
    assert model_spec("resnet18", 10, (3, 32, 32)).model_dump() == {"name": "resnet18", "source_sha256": ""}


def test_patterns():
    """A pattern stands for the names it matches, each once, in the library's order; a name for itself."""
    found = expand_models(["torchvision:vit_b*", "vgg*", "my_nets:build", "torchvision:vit_?_16"])
    assert found == [
        *("torchvision:vit_b_16", "torchvision:vit_b_32", "vgg16_bn", "vgg19_bn", "my_nets:build"),
        "torchvision:vit_l_16",
    ]
    assert len(expand_models(["torchvision:*"])) == len(NAMES)
    for pattern in ("torchvision:zz*", "zz*"):
        with pytest.raises(OptionError, match="no model's name matches"):
            expand_models([pattern])
