"""Training: the same every time, resumable after each epoch, and no weight decay where it does harm."""

import math
import warnings

import pytest
import torch

from pruning_core.config.spec import FineTuneSpec, TrainSpec
from pruning_core.datasets.base import Dataset, Split
from pruning_core.datasets.batches import make_batch
from pruning_core.errors import TrainingError, UnavailableError
from pruning_core.training.batch_norm import recalibrate_batch_norms
from pruning_core.training.device import resolve_precision
from pruning_core.training.loop import train
from pruning_core.training.reproducibility import derive_seed
from pruning_core.training.schedule import learning_rate
from pruning_core.training.step import Distillation, TrainStep
from tests.helpers.factories import DIGITS_8, Tiny, bright_images


@pytest.fixture(scope="module")
def images():
    """Sixty images whose class shows in their brightness."""
    return bright_images()


class WithDropout(Tiny):
    """Draws from torch's global generator while training."""

    def forward(self, images):
        return super().forward(torch.nn.functional.dropout(images, 0.2, training=self.training))


def run(images, *, kind=Tiny, resume=None, stop_after=None, **fields):
    """Train a small network; return its weights and the states after each epoch."""
    spec = TrainSpec(**{"epochs": 3, "batch_size": 16, "learning_rate": 0.05, "precision": "fp32", **fields})
    torch.manual_seed(1)
    network, states = kind(), []
    result = train(network, images, spec, resume=resume, on_epoch=states.append)
    return network.state_dict(), states, result


def same(first, second):
    """Tell whether two state dicts are equal to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_spec_gives_the_same_weights(images, precision):
    """Two trainings from one spec agree to the last bit, whatever was drawn in between."""
    first, _, _ = run(images, precision=precision)
    torch.rand(11)
    second, _, _ = run(images, precision=precision)
    assert same(first, second)


@pytest.mark.parametrize(
    "field", [{"seed": 1}, {"augment": False}, {"weight_decay": 0.1}, {"nesterov": False}]
)
def test_each_choice_counts(field):
    """Seed, augmentation, weight decay and momentum each change what comes out."""
    dataset = bright_images(crop_padding=2)
    assert not same(run(dataset)[0], run(dataset, **field)[0])


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_training_is_as_if_never_interrupted(images, epoch, precision):
    """From the state after any epoch the rest gives the same weights and losses to the last bit."""
    whole, states, result = run(images, kind=WithDropout, precision=precision)
    resumed, later, resumed_result = run(
        images, kind=WithDropout, precision=precision, resume=states[epoch - 1]
    )
    assert same(whole, resumed)
    assert resumed_result.losses == result.losses
    assert [state.epoch for state in later] == list(range(epoch + 1, 3))


def test_it_learns(images):
    """The loss falls."""
    _, _, result = run(images, epochs=8, label_smoothing=0.0)
    assert result.losses[-1] < 0.7 * result.losses[0]
    assert len(result.losses) == 8


def test_a_loss_that_is_no_number_stops_it(images):
    """A training that diverges says what to lower."""
    with pytest.raises(TrainingError, match=r"no longer a number after epoch \d; lower learning_rate"):
        run(images, learning_rate=1e30)


def test_norms_and_biases_do_not_decay(images):
    """With gradients out of the way, weight decay shrinks weights and leaves norms and biases."""
    blank = Split(torch.zeros(16, 3, 32, 32, dtype=torch.uint8), torch.zeros(16, dtype=torch.int64))
    dataset = Dataset(DIGITS_8, images.class_names, blank, blank)
    torch.manual_seed(1)
    network = Tiny()
    with torch.no_grad():
        network.fc.weight.zero_()  # no gradient reaches the layers before it
        before = {name: p.clone() for name, p in network.named_parameters()}
    spec = TrainSpec(epochs=1, batch_size=16, lr_schedule="constant", learning_rate=1.0, weight_decay=0.1)
    train(network, dataset, spec.model_copy(update={"precision": "fp32"}))
    assert network.inner.weight.norm() < before["inner.weight"].norm()
    assert torch.equal(network.norm.weight, before["norm.weight"])
    assert torch.equal(network.outer.bias, before["outer.bias"])


@pytest.mark.parametrize(("steps", "warmup"), [(20, 0.25), (100, 0.3), (7, 0.5)])
def test_onecycle_is_torchs(steps, warmup):
    """The learning rate of each step is that of torch's OneCycleLR."""
    spec = TrainSpec(learning_rate=0.3, warmup=warmup)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.3, total_steps=steps, pct_start=warmup, cycle_momentum=False
    )
    for step in range(steps):
        assert math.isclose(learning_rate(spec, step, steps), optimizer.param_groups[0]["lr"], rel_tol=1e-9)
        optimizer.step()
        with warnings.catch_warnings():
            torchs.step()


def test_one_step_is_enough():
    """A training of a single step has a learning rate."""
    assert learning_rate(TrainSpec(learning_rate=0.3), 0, 1) > 0


def test_a_warm_up_of_one_step_starts_at_the_peak():
    """Where the warm-up has a single step, there is nothing to rise over."""
    assert learning_rate(TrainSpec(learning_rate=0.3, warmup=0.25), 0, 4) == pytest.approx(0.3)


def test_seeds_for_different_purposes_differ():
    """No two of (seed, epoch, purpose) share a seed, as seed + epoch would."""
    seeds = {
        derive_seed(s, e, p) for s in range(5) for e in range(5) for p in ("order", "augmentation", "layers")
    }
    assert len(seeds) == 75


def test_precision_is_what_was_asked_or_what_is_fast(monkeypatch):
    """`auto` resolves by the device, a named precision stays."""
    cpu = torch.device("cpu")
    monkeypatch.setattr("pruning_core.training.device.fast_bf16", lambda _: True)
    assert resolve_precision(TrainSpec(), cpu) == "bf16"
    assert resolve_precision(TrainSpec(precision="fp32"), cpu) == "fp32"
    monkeypatch.setattr("pruning_core.training.device.fast_bf16", lambda _: False)
    assert resolve_precision(TrainSpec(), cpu) == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there(images):
    """Training on CUDA where there is none is one line."""
    with pytest.raises(UnavailableError, match="cannot train on cuda"):
        run(images, device="cuda")


def test_zeros_stay_zero_and_the_rest_learns(images):
    """A weight that is held at zero is zero after training; momentum and decay do not wake it."""
    torch.manual_seed(1)
    network = Tiny()
    before = network.inner.weight.detach().clone()
    zero = torch.rand(before.shape) < 0.5
    with torch.no_grad():
        network.inner.weight.masked_fill_(zero, 0.0)
    train(network, images, TrainSpec(epochs=1, batch_size=16), frozen_zeros={"inner.weight": zero})
    after = network.inner.weight.detach()
    assert torch.equal(after == 0, zero)
    assert not torch.equal(after[~zero], before[~zero])


def with_other_labels(images):
    """Return the same images, each with the label of another class."""
    split = Split(images.train.images, (images.train.labels + 3) % 10)
    return Dataset(images.spec, images.class_names, split, split)


@pytest.mark.parametrize(("weight", "labels_count"), [(1.0, False), (0.5, True), (0.0, True)])
def test_distillation_takes_its_share_of_the_loss(images, weight, labels_count):
    """With all of the loss the teacher alone decides, and labels do nothing; with a part, both count."""
    spec = TrainSpec(epochs=1, batch_size=16, precision="fp32")
    torch.manual_seed(7)
    teacher = Tiny()

    def student(dataset, distillation):
        torch.manual_seed(1)
        network = Tiny()
        train(network, dataset, spec, distillation=distillation)
        return network.state_dict()

    taught = student(images, Distillation(teacher, weight, 2.0))
    assert (
        same(taught, student(with_other_labels(images), Distillation(teacher, weight, 2.0))) != labels_count
    )
    assert same(taught, student(images, None)) == (weight == 0.0)
    assert not teacher.training


def test_a_student_comes_nearer_to_its_teacher(images):
    """Trained on nothing but a teacher's answers, a network gives answers more like those."""
    torch.manual_seed(7)
    teacher = Tiny()
    torch.manual_seed(1)
    network = Tiny()
    inputs = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(2))

    def distance():
        with torch.no_grad():
            return (network.eval()(inputs) - teacher.eval()(inputs)).square().mean().item()

    before = distance()
    train(network, images, TrainSpec(epochs=8, batch_size=16), distillation=Distillation(teacher, 1.0, 2.0))
    assert distance() < before


def test_batch_norms_are_recalibrated_on_training_images(images):
    """Mean and variance become those of the images asked for; weights, momentum and mode stay."""
    torch.manual_seed(1)
    network = Tiny().eval()
    weights = {name: tensor.clone() for name, tensor in network.named_parameters()}
    seen = []
    hook = network.stem.register_forward_hook(lambda _, __, output: seen.append(output))
    recalibrate_batch_norms(network, images, FineTuneSpec(norm_images=60))
    hook.remove()
    assert torch.allclose(network.norm.running_mean, seen[0].cpu().mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(network.norm.running_var, seen[0].cpu().var((0, 2, 3)), rtol=1e-3)
    assert network.norm.momentum == 0.1
    assert not network.norm.training
    assert all(torch.equal(weights[name], tensor) for name, tensor in network.named_parameters())


def test_norms_stay_when_no_images_are_asked_for(images):
    """Without `norm_images` the statistics stay what they were."""
    network = Tiny()
    before = network.norm.running_var.clone()
    recalibrate_batch_norms(network, images, FineTuneSpec(norm_images=0))
    assert torch.equal(before, network.norm.running_var)


def test_overhead_is_counted(images):
    """Batches and saved states are part of the seconds, and counted apart; a resumed training goes on."""
    _, states, result = run(images)
    assert 0 < result.overhead_s < result.seconds
    assert 0 < states[0].overhead_s < states[1].overhead_s < result.overhead_s
    _, _, resumed = run(images, resume=states[1])
    assert resumed.overhead_s > states[1].overhead_s


@pytest.mark.parametrize(("every_s", "epochs"), [(0.0, [1, 2]), (1e9, [])])
def test_states_are_saved_no_more_often_than_asked(images, every_s, epochs):
    """A state is large: where epochs are short, not each of them is followed by one."""
    saved = []
    spec = TrainSpec(epochs=3, batch_size=16, precision="fp32")
    train(Tiny(), images, spec, on_epoch=lambda state: saved.append(state.epoch), save_every_s=every_s)
    assert saved == epochs


@pytest.mark.parametrize(("augment", "columns"), [(True, 4), (False, 1)])
def test_a_step_makes_its_batch_of_what_was_drawn(images, augment, columns):
    """An epoch draws indices, and with augmentation shifts and mirrors; a step takes nothing else."""
    spec = TrainSpec(epochs=1, batch_size=16, precision="fp32", device="cpu", augment=augment)
    train_step = TrainStep(Tiny(), images, spec)
    choices = train_step.sample_epoch(3)
    assert [tuple(part.shape) for part in choices] == [(size, columns) for size in (16, 16, 16, 12)]
    assert torch.cat(choices)[:, 0].sort().values.tolist() == list(range(60))
    assert all(torch.equal(a, b) for a, b in zip(choices, train_step.sample_epoch(3), strict=True))
    seen = []
    train_step.network.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    for part in choices:
        train_step.step(part)
    expected, _ = make_batch(images.train, images.spec, choices[1], "cpu")
    assert torch.equal(seen[1], expected)
    assert train_step.data_s > 0


@pytest.mark.parametrize("chosen", ["channels_last", "contiguous"])
def test_training_lies_in_memory_as_the_machine_asks(images, monkeypatch, chosen):
    """Images and weights are in the format that `training_memory_format` gives, and the result says which."""
    memory_format = torch.channels_last if chosen == "channels_last" else torch.contiguous_format
    monkeypatch.setattr("pruning_core.training.step.training_memory_format", lambda _: memory_format)
    seen = []

    class Watching(Tiny):
        def forward(self, images):
            for tensor in (images, self.inner.weight):
                seen.append(tensor.is_contiguous(memory_format=memory_format))
            return super().forward(images)

    _, _, result = run(images, kind=Watching)
    assert result.memory_format == chosen
    assert seen
    assert all(seen)
