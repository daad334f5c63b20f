"""Trained weights become a network's, all of them or none; their hash is of what the network gets."""

import re

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from pruning_core.config.weights import WeightsChoice
from pruning_core.errors import ModelError
from pruning_core.models import build_model
from pruning_core.models.weights import describe_file, read_weights, weights_name
from pruning_core.models.weights.names import OtherClassesError
from tests.helpers.factories import Tiny

IMAGE = (3, 32, 32)


class Odd(nn.Module):
    """Tied weights, a lazy layer, buffers of both kinds, a computed weight, a norm that counts."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.LazyConv2d(8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.plain = weight_norm(nn.Linear(8, 8))
        self.register_buffer("scale", torch.ones(8))
        self.register_buffer("ramp", torch.arange(8.0), persistent=False)
        self.head = nn.Linear(8, classes)
        self.aux = nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # (N, 3, H, W) -> (N, classes)
        x = torch.relu(self.norm(self.stem(images))).mean(dim=(2, 3)) * self.scale + self.ramp
        return self.head(self.plain(self.second(self.first(x))))


def trained(network=None):
    """Return a network whose tensors are not those of any seed."""
    network = (network or Tiny()).eval()
    network(torch.zeros(2, *IMAGE))  # what is lazy gets its weights
    torch.manual_seed(3)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape) + 0.1)
    return network


@pytest.fixture
def load(tmp_path):
    """Return a function that writes tensors to a file and reads them for a network, or a new Tiny."""

    def load(tensors, network=None, name="best.pt", classes=10, **options):
        path = tmp_path / name
        if name.endswith(".safetensors"):
            safetensors.torch.save_file(tensors, path)
        else:
            torch.save(tensors, path)
        choice = WeightsChoice(source=str(path), **options)
        network = (network or Tiny(classes)).eval()
        network(torch.zeros(2, *IMAGE))
        weights = read_weights(network, "mine:build", choice, classes, torch.zeros(1, *IMAGE))
        weights.load_into(network)
        return weights, network

    return load


def same(network, expected):
    """Tell whether two networks have the same tensors, to the last bit."""
    a, b = network.state_dict(), expected.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name,
        lambda name: f"module.{name}",
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"_orig_mod.module.{name}",
        lambda name: f"module.module.{name}",
        lambda name: name.replace("inner.", "inner.module."),
        lambda name: name.replace("inner.", "inner._orig_mod."),
    ],
)
def test_names_of_wrappers_are_taken_off(load, rename):
    """DataParallel, averages and torch.compile put names before the network's own, of all or of one layer."""
    expected = trained()
    tensors = {rename(name): tensor for name, tensor in expected.state_dict().items()}
    weights, network = load(tensors | {"n_averaged": torch.tensor(7)})
    assert same(network, expected)
    assert weights.notes == ()
    assert weights.sha256 == load(expected.state_dict())[0].sha256


def test_a_network_whose_own_names_are_those_of_wrappers_keeps_them(load):
    """A network with a layer called `module` loads as it was saved, and as it was wrapped."""
    own = nn.Module()
    own.module = Tiny()
    own.forward = own.module.forward
    expected = trained(own)
    for prefix in ("", "module."):
        network = nn.Module()
        network.module = Tiny()
        network.forward = network.module.forward
        tensors = {f"{prefix}{name}": tensor for name, tensor in expected.state_dict().items()}
        assert same(load(tensors, network)[1], expected)


def test_the_hash_is_of_the_tensors_alone(load):
    """Format, path and what else the file holds do not count; a changed number does."""
    state = trained().state_dict()
    first = load(state)[0].sha256
    assert load(state, name="other.safetensors")[0].sha256 == first
    assert load({"model": state, "epoch": 5})[0].sha256 == first
    state["fc.bias"][3] += 1e-7
    assert load(state)[0].sha256 != first


def test_tied_lazy_and_computed_tensors_load(load):
    """A tied weight may stand under either name, a buffer that is made at building need not be there."""
    expected = trained(Odd())
    state = expected.state_dict()
    hashes = set()
    for absent in ((), ("second.weight",), ("first.weight",)):
        tensors = {name: tensor.clone() for name, tensor in state.items() if name not in absent}
        weights, network = load(tensors, Odd())
        assert same(network, expected)
        assert network.second.weight is network.first.weight
        images = torch.rand(2, *IMAGE)
        assert torch.equal(network.eval()(images), expected(images))
        hashes.add(weights.sha256)
    assert len(hashes) == 1
    assert same(load(state | {"ramp": torch.arange(8.0)}, Odd())[1], expected)


def test_tensors_that_are_tied_must_not_differ(load):
    """Two weights in the file for one in the network are refused by name."""
    state = dict(trained(Odd()).state_dict())
    state["second.weight"] = state["second.weight"] + 1
    with pytest.raises(ModelError, match=r"first\.weight and second\.weight are one tensor in the network"):
        load(state, Odd())


def test_a_buffer_that_is_made_at_building_must_not_differ(load):
    """No checkpoint would hold it: a file that says otherwise is refused."""
    with pytest.raises(ModelError, match="not in the network: ramp"):
        load(trained(Odd()).state_dict() | {"ramp": torch.zeros(8)}, Odd())


def test_counters_of_batch_norms_that_are_missing_begin_at_zero(load):
    """Files of old versions of torch have none."""
    expected = trained()
    state = {n: t for n, t in expected.state_dict().items() if not n.endswith("num_batches_tracked")}
    network = load(state)[1]
    assert network.norm.num_batches_tracked == 0
    assert same(network, expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_another_type_is_turned_into_the_networks_and_said(load, kind):
    """A file in half precision gives a network in float32, with a note; its hash is that of the result."""
    state = {n: t.to(kind) if t.is_floating_point() else t for n, t in trained().state_dict().items()}
    weights, network = load(state)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert torch.equal(network.fc.bias, state["fc.bias"].float())
    (note,) = weights.notes
    assert re.search(rf"14 tensors of {str(kind)[6:]} turned into the network's type", note)
    back = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
    assert load(back)[0].sha256 == weights.sha256


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "fc.bias",
            torch.ones(10, dtype=torch.int32),
            "of int32 there, as no trained weights are: .* float32",
        ),
        ("fc.bias", torch.ones(10, dtype=torch.bool), "of bool there, as no trained weights are"),
        ("norm.num_batches_tracked", torch.tensor(2.5), "of float32 there, with values that int64"),
        ("norm.num_batches_tracked", torch.tensor(torch.nan), "of float32 there, with values that int64"),
        ("norm.running_mean", torch.full((16,), 2**24 + 1), "of int64 there, with values that float32"),
        ("norm.num_batches_tracked", torch.tensor(7.0), None),
        ("norm.num_batches_tracked", torch.tensor(7, dtype=torch.int32), None),
        ("norm.running_mean", torch.full((16,), 3), None),
    ],
    ids=str,
)
def test_whole_numbers_are_neither_made_nor_taken_for_weights(load, name, value, said):
    """No parameter is of whole numbers, and no counter is cut off; what keeps its values is converted."""
    state = trained().state_dict() | {name: value}
    if said is None:
        assert torch.equal(load(state)[1].state_dict()[name], value.to(trained().state_dict()[name].dtype))
    else:
        line = refused(load, state)
        assert re.search(f"{re.escape(name)} is {said}", line)
        assert "\n" not in line


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_what_is_no_finite_number_is_refused(load, value):
    """Also where it is none only in the network's type."""
    state = dict(trained().state_dict())
    state["outer.weight"] = state["outer.weight"].double()
    state["outer.weight"][1] = value
    with pytest.raises(ModelError, match=r"weights .*best\.pt: outer\.weight holds what is no finite number"):
        load(state)


def test_complex_numbers_are_refused(load):
    """Their imaginary part would be lost without a word."""
    state = dict(trained().state_dict())
    state["fc.bias"] = state["fc.bias"] * 1j
    with pytest.raises(ModelError, match=r"fc\.bias is of complex numbers there"):
        load(state)


def refused(load, tensors, network=None, **options):
    """Return the error of weights that do not fit."""
    with pytest.raises(ModelError) as caught:
        load(tensors, network, **options)
    return str(caught.value)


def test_wrong_names_and_shapes_are_listed_in_one_error(load):
    """Missing, unknown, of another shape: the first of each by name, and how many there are."""
    state = dict(trained().state_dict())
    for name in list(state)[:6]:
        state[f"old.{name}"] = state.pop(name)
    state["outer.weight"] = torch.zeros(16, 16, 1, 1)
    text = refused(load, state)
    assert re.search(r"^weights .*best\.pt do not fit mine:build:\n", text)
    assert "\n  missing: stem.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var\n" in text
    assert "not in the network: old.stem.weight, old.norm.weight, old.norm.bias, " in text
    assert ", … 6 in all\n" in text
    assert "of other shapes: outer.weight 16×16×1×1 there, 16×32×1×1 here" in text
    assert "--strip-prefix" not in text


@pytest.mark.parametrize("prefix", ["backbone.", "module.encoder_q.", "a b."])
def test_a_prefix_that_would_make_all_fit_is_named_and_does(load, prefix):
    """With it the weights load, and what lies outside of it does not count."""
    expected = trained()
    tensors = {f"{prefix}{name}": tensor for name, tensor in expected.state_dict().items()}
    tensors["loss.centres"] = torch.zeros(3)
    named = f"'{prefix}'" if " " in prefix else prefix
    assert f"\n  --strip-prefix {named} would make all fit" in refused(load, tensors)
    assert same(load(tensors, strip_prefix=prefix)[1], expected)
    text = refused(load, tensors, strip_prefix="other.")
    assert "no name begins with 'other.'; they begin with " in text


def test_weights_that_are_computed_there_get_advice(load):
    """A file saved with a parametrization fits a network that has it, and says so to one that has none."""
    parametrized = Tiny()
    parametrized.inner = weight_norm(parametrized.inner)
    text = refused(load, trained(parametrized).state_dict())
    assert "weights are computed from others there: build the network so" in text


def test_another_number_of_classes_is_told(load):
    """If nothing but the rows of the last layers differs, the error says how many and what to do."""
    state = trained(Odd(7)).state_dict()
    with pytest.raises(
        OtherClassesError, match=r"they are of 7 classes, and here are 10.*With --new-head"
    ) as e:
        load(state, Odd())
    assert e.value.classes == 7
    assert "\n" not in str(e.value)
    tensors = {f"net.{name}": tensor for name, tensor in state.items()}
    assert "--strip-prefix net. would make all but the last layer fit" in refused(load, tensors, Odd())


def test_a_new_head_is_that_of_the_network_and_all_else_that_of_the_file(load):
    """Whatever has a row for each class is made new: the last layer, and an auxiliary head."""
    expected = trained(Odd(7))
    fresh = Odd()
    weights, network = load(expected.state_dict(), fresh, new_head=True)
    assert {name for name in fresh.state_dict() if name not in weights.tensors} == {
        *("head.weight", "head.bias", "aux.weight", "aux.bias", "second.weight")
    }
    for name, tensor in expected.state_dict().items():
        if not name.startswith(("head.", "aux.")):
            assert torch.equal(network.state_dict()[name], tensor)
    headless = {n: t for n, t in trained().state_dict().items() if not n.startswith("fc.")}
    assert "all fits but the last layer: with --new-head it is made new" in refused(load, headless)
    network = Tiny()
    before = network.fc.weight.detach().clone()
    assert torch.equal(load(headless, network, new_head=True)[1].fc.weight, before)
    network = Tiny()
    before = network.fc.weight.detach().clone()  # also where the classes are as many as before
    assert torch.equal(load(trained().state_dict(), network, new_head=True)[1].fc.weight, before)


def test_a_new_head_excuses_nothing_else(load):
    """Another shape elsewhere is refused as it is without a new head."""
    state = dict(trained().state_dict())
    state["inner.weight"] = torch.zeros(8, 16, 3, 3)
    text = refused(load, state, new_head=True)
    assert "of other shapes: inner.weight 8×16×3×3 there, 32×16×3×3 here" in text


def test_a_network_that_changes_what_it_loads_is_refused(load):
    """It would not be the network that was trained."""

    def halve(_module, state, prefix, *_):
        state[f"{prefix}bias"] = state[f"{prefix}bias"] / 2

    network = Tiny()
    network.fc.register_load_state_dict_pre_hook(halve)
    with pytest.raises(ModelError, match=r"the network changes 'fc\.bias' when it loads its weights"):
        load(trained().state_dict(), network)


def test_a_huge_tensor_that_is_one_number_costs_no_memory(load):
    """A shape is compared before anything is made of it."""
    state = dict(trained().state_dict()) | {"fc.weight": torch.zeros(1).expand(10**6, 10**6)}
    assert "fc.weight 1000000×1000000 there" in refused(load, state)


def test_a_file_is_called_by_its_last_name(tmp_path, load):
    """Records are shared: the folders of whoever measured stay out of them."""
    path = tmp_path / "run#1.pt"
    load(trained().state_dict(), name="run#1.pt")
    assert weights_name(WeightsChoice(source=str(path)), "mine:build") == "run#1.pt"
    torch.save({"generator": trained().state_dict()}, tmp_path / "all.pt")
    choice = WeightsChoice(source=f"{tmp_path}/all.pt#generator")
    assert weights_name(choice, "mine:build") == "all.pt#generator"
    assert read_weights(Tiny(), "mine:build", choice, 10, torch.zeros(1, *IMAGE)).tensors
    assert re.fullmatch("all.pt#generator [0-9a-f]{32}", describe_file(choice, "mine:build", download=False))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_networks_of_ours_load(load, name):
    """With as many classes as the dataset has."""
    expected = trained(build_model(name, 10, IMAGE, seed=1))
    assert same(load(expected.state_dict(), build_model(name, 10, IMAGE))[1], expected)
