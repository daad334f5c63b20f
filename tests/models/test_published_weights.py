"""Weights that torchvision and timm have published are found where the libraries keep them, never fetched."""

import hashlib
import importlib.metadata
import io
from email.message import Message

import pytest
import safetensors.torch
import torch

from pruning_core.config.weights import WeightsChoice
from pruning_core.errors import ModelError, OptionError, UnknownNameError
from pruning_core.models import build_model
from pruning_core.models.weights import check_weights, read_weights, weights_name
from pruning_core.models.weights.published import download_to_torch_cache, torch_cache
from pruning_core.models.weights.torchvision_weights import find_torchvision_weights
from pruning_core.torchvision_compat import models

IMAGE = (3, 64, 64)
SQUEEZENET = "torchvision:squeezenet1_1"
CLASSES = 1000

try:
    importlib.metadata.version("timm")
    TIMM = True
except importlib.metadata.PackageNotFoundError:
    TIMM = False
with_timm = pytest.mark.skipif(not TIMM, reason="timm is not installed")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Give torch and Hugging Face empty caches; fail on whatever would open an address."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def fetched(*_, **__):
        raise AssertionError("something was fetched")

    monkeypatch.setattr("urllib.request.urlopen", fetched)
    monkeypatch.setattr("torch.hub.urlopen", fetched)
    return tmp_path / "torch" / "checkpoints"


def read(model, source, classes=CLASSES, image=IMAGE, **options):
    """Read weights for a network of a library."""
    network = build_model(model, classes, image)
    choice = WeightsChoice(source=source, **options)
    return read_weights(network, model, choice, classes, torch.zeros(1, *image)), network


@pytest.mark.parametrize(
    "source",
    ["torchvision:IMAGENET1K_V1", "torchvision:DEFAULT", "torchvision:SqueezeNet1_1_Weights.IMAGENET1K_V1"],
)
def test_what_lies_in_torchs_cache_is_loaded(cache, monkeypatch, source):
    """By the short name of a network of torchvision's, or by the full name."""
    expected = build_model(SQUEEZENET, CLASSES, IMAGE, seed=1).state_dict()
    cache.mkdir(parents=True)
    torch.save(expected, cache / "squeezenet1_1.pth")
    digest = hashlib.sha256((cache / "squeezenet1_1.pth").read_bytes()).hexdigest()
    (cache / "squeezenet1_1.pth").rename(cache / f"squeezenet1_1-{digest[:8]}.pth")
    named = "pruning_core.models.weights.torchvision_weights.torch_cache"
    monkeypatch.setattr(named, lambda _: cache / f"squeezenet1_1-{digest[:8]}.pth")
    weights, network = read(SQUEEZENET, source)
    weights.load_into(network)
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in expected.items())
    assert weights.normalization == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    name = weights_name(WeightsChoice(source=source), SQUEEZENET)
    assert name == "torchvision:SqueezeNet1_1_Weights.IMAGENET1K_V1"


def test_what_is_not_on_this_machine_is_said_with_its_place_and_address(cache):
    """The line says where the file is looked for and how to get it; nothing is fetched."""
    with pytest.raises(ModelError) as caught:
        read(SQUEEZENET, "torchvision:DEFAULT")
    assert str(caught.value) == (
        f"weights torchvision:SqueezeNet1_1_Weights.IMAGENET1K_V1: there is no {cache}/"
        "squeezenet1_1-b8a52dc0.pth. Give --download, or put there "
        "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
    )


def test_what_is_not_as_its_name_says_is_refused(cache):
    """A file in the cache whose hash is not the one in its name is no published one."""
    cache.mkdir(parents=True)
    torch.save({}, cache / "squeezenet1_1-b8a52dc0.pth")
    with pytest.raises(
        ModelError, match=r"is not the published file, .* begins with b8a52dc0, .* delete"
    ) as caught:
        read(SQUEEZENET, "torchvision:DEFAULT")
    assert "\n" not in str(caught.value)


def test_what_cannot_be_downloaded_is_one_line(cache):
    """Also where the user asked for it."""
    choice = WeightsChoice(source="torchvision:DEFAULT")
    network = build_model(SQUEEZENET, CLASSES, IMAGE)
    with pytest.raises(ModelError, match=r"cannot download https://.*: something was fetched$"):
        read_weights(network, SQUEEZENET, choice, CLASSES, torch.zeros(1, *IMAGE), download=True)


class Response(io.BytesIO):
    """What urlopen returns."""

    def info(self):
        """Return headers: none."""
        return Message()


def test_a_download_is_checked_and_kept(cache, monkeypatch):
    """The file comes to torch's own cache; one that is not as its name says is refused."""
    content = b"some weights"
    monkeypatch.setattr("torch.hub.urlopen", lambda *_, **__: Response(content))
    choice = WeightsChoice(source="torchvision:DEFAULT")
    network = build_model(SQUEEZENET, CLASSES, IMAGE)
    with pytest.raises(ModelError, match=r"cannot download .*invalid hash value"):
        read_weights(network, SQUEEZENET, choice, CLASSES, torch.zeros(1, *IMAGE), download=True)
    assert list(cache.iterdir()) == []
    url = f"https://example.org/net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    assert download_to_torch_cache(url, torch_cache(url)).read_bytes() == content
    assert torch_cache(url).parent == cache


@pytest.mark.parametrize(
    ("source", "model", "said"),
    [
        ("torchvision:DEFAULT", "resnet18", "resnet18 is no network of torchvision; name one"),
        ("torchvision:IMAGENET1K_V9", "torchvision:resnet18", "Did you mean 'IMAGENET1K_V1'"),
        ("torchvision:ResNet19_Weights.DEFAULT", "mine:net", "Did you mean 'ResNet1"),
        ("torchvision:", "torchvision:resnet18", "known: "),
        ("torchvision:FasterRCNN_ResNet50_FPN_Weights.DEFAULT", "mine:net", "no network that classifies"),
        ("torchvision:Raft_Large_Weights.DEFAULT", "mine:net", "no network that classifies images"),
        ("timm", "resnet18", "write --model timm:NAME --weights timm"),
        ("timm:resnet18", "timm:resnet18", "write --model timm:NAME --weights timm"),
    ],
)
def test_wrong_names_are_told_before_any_work(source, model, said):
    """One line, with what is known."""
    with pytest.raises((OptionError, UnknownNameError), match=said):
        check_weights(WeightsChoice(source=source), model)


def test_of_a_network_of_the_users_the_full_name_is_taken():
    """A user's function may build a network of torchvision's."""
    check_weights(WeightsChoice(source="torchvision:ResNet18_Weights.IMAGENET1K_V1"), "mine:net")


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_that_turn_images_themselves_expect_another_range(name):
    """torchvision's own would turn images of ImageNet into such in [−1, 1]; ours get them so."""
    found = find_torchvision_weights("torchvision:DEFAULT", f"torchvision:{name}")
    assert (found.mean, found.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_old_names_of_densenets_are_those_of_today():
    """torchvision's files have `norm.1` where its networks have `norm1`; it renames, and so do we."""
    found = find_torchvision_weights("torchvision:DEFAULT", "torchvision:densenet121")
    today = models.densenet121(weights=None).state_dict()
    old = {
        name.replace("norm1.", "norm.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.")
        .replace("conv2.", "conv.2."): tensor
        for name, tensor in today.items()
    }
    assert old.keys() != today.keys()
    assert found.adapt(old).keys() == today.keys()


@with_timm
def test_what_lies_in_the_cache_of_hugging_face_is_loaded(cache, tmp_path, monkeypatch):
    """timm renames what it has published under other names, as it does when it loads them itself."""
    import huggingface_hub

    model = "timm:test_vit.r160_in1k"
    expected = build_model(model, CLASSES, (3, 160, 160), seed=1).state_dict()
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(expected, path)
    asked = []

    def from_cache(repository, name, *_, **__):
        asked.append((repository, name))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", from_cache)
    weights, network = read(model, "timm", image=(3, 160, 160))
    weights.load_into(network)
    assert asked[0] == ("timm/test_vit.r160_in1k", "model.safetensors")
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in expected.items())
    assert weights_name(WeightsChoice(source="timm"), model) == model
    assert weights.normalization == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@with_timm
def test_what_is_not_in_the_cache_of_hugging_face_is_said_with_its_place_and_address(cache):
    """The line says where it is looked for, and its address."""
    with pytest.raises(
        ModelError, match=r"weights timm:test_vit\.r160_in1k: there is no .*model\.safetensors"
    ) as e:
        read("timm:test_vit", "timm", image=(3, 160, 160))
    assert "https://huggingface.co/timm/test_vit.r160_in1k/resolve/main/model.safetensors" in str(e.value)
