"""Networks by name, and a user's own."""

import sys

import pytest
import torch
from torch import nn

from pruning_core.errors import ModelError, UnknownNameError
from pruning_core.models import MODELS, build_model, check_model_name, model_spec
from pruning_core.models.inspect import find_heads
from pruning_core.pruning.cost import count_cost
from tests.helpers.factories import write_user_model
from tests.helpers.forward_networks import ForwardNetwork

SMALL = (3, 32, 32)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_small_images(name):
    """Each network takes small images with any number of channels and classes."""
    for image, classes in ((SMALL, 10), ((1, 32, 32), 7)):
        network = build_model(name, classes, image).eval()
        with torch.inference_mode():
            assert network(torch.zeros(2, *image)).shape == (2, classes)


@pytest.mark.parametrize("name", MODELS)
def test_the_classifier_is_found(name):
    """The layer that makes the logits is named, so that it is never pruned."""
    network = build_model(name, 10, SMALL)
    classifier = find_heads(network, torch.zeros(1, *SMALL))[0]
    assert dict(network.named_modules())[classifier].out_features == 10


def test_resnet18_is_the_tutorials():
    """ResNet-18 has the CIFAR stem and the published number of parameters."""
    network = build_model("resnet18", 10, SMALL)
    assert sum(p.numel() for p in network.parameters()) == 11_173_962
    assert network.conv1.stride == (1, 1)


# Millions of MACs at 3×32×32 and parameters: He et al. 2016 (0.27, 0.46, 0.85 and 1.7 million), Zagoruyko and
# Komodakis 2016 (0.7 million), torch-pruning's tables (127 million MACs and 0.86 million for ResNet-56); 1×1
# shortcuts add 2,752 parameters to a ResNet of He et al.
PUBLISHED = {
    "resnet20": (41.2, 272_474),
    "resnet32": (69.8, 466_906),
    "resnet56": (126.9, 855_770),
    "resnet110": (255.3, 1_730_714),
    "vgg19_bn": (399.5, 20_040_522),
    "wrn_16_2": (101.6, 691_674),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_of_the_literature_have_their_published_counts(name):
    """The networks that most tables of pruning are about are the published ones."""
    network = build_model(name, 10, SMALL)
    cost = count_cost(network, torch.zeros(1, *SMALL))
    assert (round(cost.macs / 1e6, 1), cost.params) == PUBLISHED[name]


def test_weights_are_decided_by_the_seed_alone():
    """The same seed gives the same network, whatever torch's generator did before, and leaves it alone."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = build_model("resnet18", 10, SMALL, seed=1)
    assert torch.equal(torch.rand(3), expected)
    second = build_model("resnet18", 10, SMALL, seed=1)
    other = build_model("resnet18", 10, SMALL, seed=2)
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_unknown_name():
    """A wrong name gets the closest one."""
    with pytest.raises(UnknownNameError, match=r"no model 'resnet81'\. Did you mean 'resnet18'"):
        build_model("resnet81", 10, SMALL)


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """Stand in a folder where a user keeps modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_users_own_model(at_home):
    """`module:function` builds a user's network; its key changes with the file, in the next process."""
    name = write_user_model(at_home, "own_nets_a")
    assert build_model(name, 4, SMALL)(torch.zeros(2, *SMALL)).shape == (2, 4)
    before = model_spec(name, 4, SMALL)
    path = at_home / "own_nets_a.py"
    path.write_text(path.read_text() + "# changed\n")
    assert model_spec(name, 4, SMALL) == before  # what was imported is what runs
    del sys.modules["own_nets_a"]
    assert model_spec(name, 4, SMALL) != before


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def f(classes, channels):\n    raise RuntimeError('no')\n", "cannot be built: RuntimeError: no"),
        ("def f(classes, channels):\n    return 3\n", "must return a torch.nn.Module; got int"),
        ("def g(classes, channels):\n    return 3\n", "has no function 'f'; it has: g"),
        ("import nothing_of_that_name\n", "cannot import"),
        (
            "from torch import nn\ndef f(classes, channels):\n    return nn.Conv2d(channels, classes, 3)\n",
            "must return logits of 2×10; got 2×10×30×30",
        ),
        (
            "from torch import nn\ndef f(classes, channels):\n    return nn.Linear(5, classes)\n",
            "cannot take images of 3×32×32",
        ),
    ],
)
def test_a_users_mistake_is_one_clear_line(at_home, body, expected, request):
    """What is wrong with a user's own model is said plainly."""
    module = f"own_nets_{abs(hash(body))}"
    (at_home / f"{module}.py").write_text(body)
    with pytest.raises(ModelError, match=expected):
        build_model(f"{module}:f", 10, SMALL)


def test_a_module_that_is_not_there(at_home):
    """A module that cannot be imported is named."""
    with pytest.raises(ModelError, match="cannot import 'no_such_module_of_mine'"):
        check_model_name("no_such_module_of_mine:f")


class TestClassifier:
    """The layer that makes the logits is the last that they depend on."""

    @staticmethod
    def found(run, **layers):
        """Return the classifier of a network of some layers."""
        network = ForwardNetwork(run, stem=nn.Conv2d(3, 8, 3), out=nn.Linear(8, 5), **layers)
        return find_heads(network, torch.zeros(1, 3, 8, 8))[0]

    def test_a_layer_that_runs_later_is_not_it(self):
        """An auxiliary head that runs last and whose answer is kept aside makes no logits."""

        def run(network, x):
            x = network.stem(x).mean((2, 3))
            answer = network.out(x).softmax(1)
            network.aside = network.later(x)
            return answer

        assert self.found(run, later=nn.Linear(8, 5)) == "out"

    def test_a_layer_before_what_has_no_weights_is(self):
        """Softmax, pooling and norms may follow."""
        assert self.found(lambda m, x: m.out(m.stem(x).mean((2, 3))).softmax(1)) == "out"
        assert (
            self.found(lambda m, x: m.last(m.stem(x)).relu().mean((2, 3)), last=nn.Conv2d(8, 5, 1)) == "last"
        )
