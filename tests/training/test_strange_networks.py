"""Networks that run otherwise than most are trained, recalibrated, evaluated and run on a backend."""

import pytest
import torch
from torch import nn

from pruning_core.backends import BACKENDS
from pruning_core.chain.networks import evaluate_network
from pruning_core.config.spec import FineTuneSpec, TrainSpec
from pruning_core.datasets.base import Dataset, Split
from pruning_core.errors import ModelError, TrainingError
from pruning_core.models.copying import copy_network
from pruning_core.pruning.cost import count_cost
from pruning_core.tasks.classification import Classification
from pruning_core.training.batch_norm import recalibrate_batch_norms
from pruning_core.training.loop import train
from tests.helpers.factories import Tiny, bright_images
from tests.helpers.forward_networks import ForwardNetwork
from tests.helpers.strange_networks import NETWORKS

EXAMPLE = torch.zeros(1, 3, 32, 32)


@pytest.fixture(scope="module")
def images():
    """Sixty images whose class shows in their brightness."""
    return bright_images()


def first(dataset, count):
    """Return the first images of a dataset alone."""
    split = Split(dataset.train.images[:count], dataset.train.labels[:count])
    return Dataset(dataset.spec, dataset.class_names, split, split)


def bf16_lstm_runs():
    """Tell whether PyTorch has an LSTM in bf16 for this processor; oneDNN has none for AVX2 alone."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(8, 8)(torch.zeros(1, 1, 8))
    except RuntimeError:
        return False
    return True


@pytest.fixture(params=["channels_last", "contiguous"], autouse=True)
def preferred(request, monkeypatch):
    """Let the machine prefer either memory format for training."""
    memory_format = torch.channels_last if request.param == "channels_last" else torch.contiguous_format
    monkeypatch.setattr("pruning_core.training.step.training_memory_format", lambda _: memory_format)
    return request.param


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_becomes_of_a_network(images, preferred, name, precision):
    """It learns, on 17 images in batches of 8, and is then recalibrated, evaluated, counted and run."""
    torch.manual_seed(0)
    network, dataset = NETWORKS[name](), first(images, 17)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    spec = TrainSpec(epochs=1, batch_size=8, precision=precision, device="cpu", learning_rate=0.01)
    if (name, precision) == ("LSTM", "bf16") and not bf16_lstm_runs():
        with pytest.raises(TrainingError, match=r"step in bf16: .* LSTM .*\(try precision fp32\)$"):
            train(network, Classification(dataset), spec)
        return
    result = train(network, Classification(dataset), spec)
    contiguous = name in ("view", "view of -1", "view in training", "strides")
    assert result.memory_format == ("contiguous" if contiguous else preferred)
    assert any(not torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    recalibrate_batch_norms(network, Classification(dataset), FineTuneSpec(norm_images=17))
    evaluation = evaluate_network(network, Classification(dataset), spec)
    assert evaluation.n == 17
    assert count_cost(network, EXAMPLE).params > 0
    executable = BACKENDS["eager"].load(network, EXAMPLE, precision="fp32", device="cpu", threads=1)
    contiguous = name in ("view", "view of -1", "strides")
    assert executable.memory_format == ("contiguous" if contiguous else "channels_last")
    shown = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            executable.predict(shown), copy_network(network).eval()(shown), rtol=1e-3, atol=1e-4
        )


def pixel_norm():
    """Return a network with an instance norm, with statistics of its own, over maps of one pixel."""
    norm = nn.InstanceNorm2d(4, track_running_stats=True)
    return nn.Sequential(nn.Conv2d(3, 4, 32), norm, nn.Flatten(), nn.Linear(4, 10))


def in_place():
    """Return a network that changes, in training, what its gradient needs."""

    def run(network, x):
        y = network.conv(x).exp()
        if network.training:
            y *= 2
        return network.fc(y.mean((2, 3)))

    return ForwardNetwork(run, conv=nn.Conv2d(3, 8, 3), fc=nn.Linear(8, 10))


@pytest.mark.parametrize(
    ("build", "count", "said"),
    [
        (
            pixel_norm,
            8,
            "cannot take a training step in fp32: ValueError: Expected more than 1 spatial element",
        ),
        (NETWORKS["flat norm"], 1, "in fp32 on one image (give it two or more"),
        (in_place, 8, "modified by an inplace operation"),
    ],
)
def test_what_a_network_raises_in_a_step_is_one_line(images, build, count, said):
    """Of a norm that has too few values, and of a forward that gradients cannot follow."""
    spec = TrainSpec(epochs=1, batch_size=8, precision="fp32", device="cpu")
    with pytest.raises(TrainingError) as caught:
        train(build(), Classification(first(images, count)), spec)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_norms_cannot_be_recalibrated_on_one_image(images):
    """One image says nothing of the variance of flat features: that is one line."""
    with pytest.raises(TrainingError, match="batch norms in training mode on one image"):
        recalibrate_batch_norms(NETWORKS["flat norm"](), Classification(images), FineTuneSpec(norm_images=1))


def test_norms_that_run_in_training_alone_keep_their_statistics(images):
    """The norm of an auxiliary head has nothing to be recalibrated on, and is not reset."""
    network = Tiny()
    network.auxiliary = nn.BatchNorm2d(4)
    network.auxiliary.running_mean.fill_(3.0)
    network.auxiliary.num_batches_tracked.fill_(5)
    recalibrate_batch_norms(network, Classification(images), FineTuneSpec(norm_images=60))
    assert network.auxiliary.running_mean.tolist() == [3.0] * 4
    assert network.auxiliary.num_batches_tracked == 5
    assert network.norm.num_batches_tracked == 1


def test_a_network_that_takes_other_batches_alone_is_one_line(images):
    """What a forward raises while the network is evaluated is told in one line."""
    network = ForwardNetwork(lambda m, x: m.fc(x.flatten(1).view(4, -1)), fc=nn.Linear(3072, 10))
    with pytest.raises(ModelError, match=r"cannot evaluate on 60 images: RuntimeError"):
        evaluate_network(network, Classification(images), TrainSpec())


def test_complex_weights_train(images):
    """A filter in the frequency domain has complex weights, which SGD moves as well."""
    network = ForwardNetwork(
        lambda m, x: m.fc(torch.fft.irfft2(torch.fft.rfft2(x) * m.filter, s=(32, 32)).mean((2, 3))),
        fc=nn.Linear(3, 10),
    )
    network.filter = nn.Parameter(torch.ones(3, 32, 17, dtype=torch.complex64))
    train(network, Classification(images), TrainSpec(epochs=1, batch_size=16, precision="fp32", device="cpu"))
    assert not torch.equal(network.filter, torch.ones(3, 32, 17, dtype=torch.complex64))
