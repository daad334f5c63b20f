"""What a user's function builds: it enters the key, and two calls give two networks that are alike."""

import itertools
import random
import sys

import pytest
import torch
from torch import nn

from pruning_core.errors import ModelError
from pruning_core.models import build_model, model_spec

IMAGE = (3, 8, 8)
HEAD = """
import functools, random
import numpy as np
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, classes, channels, act=torch.relu):
        super().__init__()
        self.conv, self.fc, self.act = nn.Conv2d(channels, 4, 3), nn.Linear(4, classes), act
    def forward(self, x):
        return self.fc(self.act(self.conv(x)).mean((2, 3)))
"""
_NUMBERS = itertools.count()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a module which no test has imported, and gives the model's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write_module(body, name="build"):
        module = f"user_model_{next(_NUMBERS)}"
        (tmp_path / f"{module}.py").write_text(HEAD + body)
        return f"{module}:{name}"

    return write_module


def spec_of(name):
    """Return the spec of a small model, as another process sees it."""
    sys.modules.pop(name.partition(":")[0], None)
    return model_spec(name, 10, IMAGE)


def refusal(name):
    """Return the one line with which a model is refused."""
    with pytest.raises(ModelError) as caught:
        build_model(name, 10, IMAGE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


READS = {
    "weights": ("n.fc.load_state_dict(torch.load('best.pt'))", lambda: nn.Linear(4, 10).state_dict()),
    "a buffer": (
        "n.register_buffer('b', torch.load('best.pt'), persistent=False)",
        lambda: torch.rand(3),
    ),
    "a number": ("n.scale = float(torch.load('best.pt'))", lambda: torch.rand(())),
    "a function": (
        "n.act = getattr(torch, 'relu' if torch.load('best.pt') > 1 else 'tanh')",
        lambda: torch.tensor(2.0 * (next(_NUMBERS) % 2)),
    ),
    "a layer": ("n.act = nn.LeakyReLU(float(torch.load('best.pt')))", lambda: torch.rand(())),
    "what is frozen": (
        "n.fc.requires_grad_(bool(torch.load('best.pt') > 1))",
        lambda: torch.tensor(2.0 * (next(_NUMBERS) % 2)),
    ),
}


@pytest.mark.parametrize("kind", READS)
def test_what_a_network_reads_enters_the_key(write, tmp_path, kind):
    """A file that the function reads decides the spec by what becomes of it."""
    line, make = READS[kind]
    name = write(f"def build(c, i):\n    n = Net(c, i)\n    {line}\n    return n\n")
    specs = []
    for _ in range(2):
        torch.save(make(), tmp_path / "best.pt")
        specs.append(spec_of(name))
        assert spec_of(name) == specs[-1]
    assert specs[0].source_sha256 == specs[1].source_sha256
    assert specs[0] != specs[1]


def test_our_own_models_have_no_state_in_their_key():
    """A name of ours says all."""
    assert model_spec("resnet18", 10, (3, 32, 32)).model_dump() == {"name": "resnet18", "source_sha256": ""}


@pytest.mark.parametrize("draw", ["random.random()", "np.random.rand()", "torch.rand(()).item()"])
def test_what_is_drawn_by_the_usual_generators_is_seeded(write, draw):
    """A network drawn by Python, numpy or torch is the same for a seed, and the generators are left alone."""
    name = write(f"def build(c, i):\n    n = Net(c, i)\n    n.fc.bias.data += {draw}\n    return n\n")
    random.seed(3)
    expected = random.random()
    random.seed(3)
    first, second, other = (build_model(name, 10, IMAGE, seed).fc.bias for seed in (0, 0, 1))
    assert random.random() == expected
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_slices_and_tied_weights_share_nothing_that_is_lost(write):
    """One parameter under two names, and slices of one tensor beside each other, are built."""
    name = write(
        "def build(c, i):\n    n, flat = Net(c, i), torch.rand(8)\n"
        "    n.twin = nn.Linear(4, c)\n    n.twin.weight = n.fc.weight\n"
        "    n.one, n.two = nn.Parameter(flat[:4]), nn.Parameter(flat[4:])\n"
        "    return n\n"
    )
    assert spec_of(name).name == name
    network = build_model(name, 10, IMAGE)
    assert network.twin.weight is network.fc.weight
    assert network.one.untyped_storage().data_ptr() == network.two.untyped_storage().data_ptr()


REFUSED = {
    "another each time": (
        "R = np.random.default_rng()\ndef build(c, i):\n    n = Net(c, i)\n    n.fc.bias.data += R.random()\n"
        "    return n\n",
        "two networks built from one seed differ (fc.bias)",
    ),
    "other layers each time": (
        "CALLS = []\ndef build(c, i):\n    CALLS.append(1)\n    n = Net(c, i)\n"
        "    n.act = nn.ReLU() if len(CALLS) % 2 else nn.SiLU()\n    return n\n",
        "two networks built from one seed differ (its layers)",
    ),
    "one object": ("NET = Net(10, 3)\ndef build(c, i):\n    return NET\n", "two calls give one object"),
    "one tensor": (
        "W = nn.Parameter(torch.rand(10))\n"
        "def build(c, i):\n    n = Net(c, i)\n    n.fc.bias = W\n    return n\n",
        "the networks of two calls share 'fc.bias'",
    ),
    "one layer": (
        "C = nn.Conv2d(3, 4, 3)\ndef build(c, i):\n    n = Net(c, i)\n    n.conv = C\n    return n\n",
        "the networks of two calls share 'conv.weight'",
    ),
    "one memory": (
        "def build(c, i):\n    n = Net(c, i)\n    n.twin = nn.Linear(4, c)\n"
        "    n.twin.weight.data = n.fc.weight.data\n    return n\n",
        "'fc.weight' and 'twin.weight' are two parameters in the same memory",
    ),
    "one memory in part": (
        "def build(c, i):\n    n = Net(c, i)\n    n.twin = nn.Linear(4, 2)\n"
        "    n.twin.weight.data = n.fc.weight.data[:2]\n    return n\n",
        "'fc.weight' and 'twin.weight' are two parameters in the same memory",
    ),
    "no gradients": (
        "@torch.inference_mode()\ndef build(c, i):\n    return Net(c, i)\n",
        "was made under torch.inference_mode() and cannot be trained",
    ),
    "a network": ("build = Net(10, 3)\n", "is a network; name a function that builds one for each call"),
    "one image": (
        "class One(Net):\n    def forward(self, x):\n        return super().forward(x).squeeze()\n"
        "def build(c, i):\n    return One(c, i)\n",
        "for 1 image it must return logits of 1×10; got 10",
    ),
    "one image alone": (
        "class One(Net):\n    def forward(self, x):\n"
        "        assert len(x) > 1\n        return super().forward(x)\n"
        "def build(c, i):\n    return One(c, i)\n",
        "cannot take images of 3×8×8, one alone: AssertionError",
    ),
    "the program's end": (
        "def build(c, i):\n    raise SystemExit(0)\n",
        "it ends the program, by sys.exit(0)",
    ),
    "its end in forward": (
        "class Ends(Net):\n    def forward(self, x):\n        raise SystemExit(0)\n"
        "def build(c, i):\n    return Ends(c, i)\n",
        "cannot take images of 3×8×8: it ends the program, by sys.exit(0)",
    ),
    "a lazy layer": (
        "def build(c, i):\n    n = Net(c, i)\n    n.never = nn.LazyLinear(3)\n    return n\n",
        "'never.weight' belongs to a lazy layer that never runs",
    ),
    "what cannot be described": (
        "class Mute(Net):\n    def extra_repr(self):\n        raise SystemExit\n"
        "def build(c, i):\n    return Mute(c, i)\n",
        "cannot be described: it ends the program",
    ),
    "a script": (
        "def build(c, i):\n    return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(192, c)))\n",
        "a network of TorchScript cannot be pruned; return the one that it was made of",
    ),
    "a compiled network": (
        "def build(c, i):\n    return nn.Sequential(torch.compile(Net(c, i)))\n",
        "a network of torch.compile cannot be pruned; return the one that it was made of",
    ),
    "a lock": (
        "from threading import Lock\ndef build(c, i):\n    n = Net(c, i)\n    n.lock = Lock()\n"
        "    return n\n",
        "cannot copy the network, and one is pruned beside the other: cannot pickle '_thread.lock'",
    ),
    "a layer that fails in training": (
        "class Fails(Net):\n    def __init__(self, c, i):\n        super().__init__(c, i)\n"
        "        self.aux = nn.LazyLinear(c)\n"
        "    def forward(self, x):\n        assert not self.training, 'no training'\n"
        "        return super().forward(x)\n"
        "def build(c, i):\n    return Fails(c, i)\n",
        "cannot take images of 3×8×8 in training mode: AssertionError: no training",
    ),
    "two lines": ("def build(c, i):\n    raise ValueError('a\\nb')\n", "cannot be built: ValueError: a b"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_one_line(write, kind):
    """A function whose networks cannot be trained, pruned and compared is refused at once."""
    body, said = REFUSED[kind]
    assert said in refusal(write(body))


def test_ctrl_c_while_building_stays_ctrl_c(write):
    """An interruption by the user is none of the function's errors."""
    name = write("def build(c, i):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        build_model(name, 10, IMAGE)


@pytest.mark.parametrize(
    "body",
    [
        "build = functools.partial(Net, act=torch.tanh)\n",
        "@functools.cache\ndef build(c, i):\n    return Net(c, i)\n",
        "build = Net\n",
        "class B:\n    def __call__(self, c, i):\n        return Net(c, i)\nbuild = B()\n",
        "@torch.no_grad()\ndef build(c, i):\n    return Net(c, i)\n",
        "def build(c, i):\n    return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(c))\n",
        "class Heads(Net):\n    def __init__(self, c, i):\n        super().__init__(c, i)\n"
        "        self.aux = nn.LazyLinear(c)\n"
        "    def forward(self, x):\n        y = super().forward(x)\n"
        "        return (y, self.aux(x.flatten(1))) if self.training else y\nbuild = Heads\n",
        "class Keeps(Net):\n    def forward(self, x):\n        self.x = self.conv(x)\n"
        "        return super().forward(x)\nbuild = Keeps\n",
    ],
)
def test_anything_that_builds_networks_is_a_model(write, body):
    """Partials, functions that remember or are decorated, classes, objects, lazy layers, kept features."""
    name = write(body)
    assert model_spec(name, 10, IMAGE) == spec_of(name)
    first, second = build_model(name, 10, IMAGE), build_model(name, 10, IMAGE)
    assert first is not second
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_number_that_changes_with_each_call_says_nothing(write):
    """What differs from call to call beside the tensors does not enter the key."""
    name = write(
        "import time\ndef build(c, i):\n    n = Net(c, i)\n    n.made = time.time_ns()\n    return n\n"
    )
    assert spec_of(name) == spec_of(name)


def test_a_network_is_looked_at_once(write):
    """Whoever asks for the spec again gets what was found out before."""
    name = write("CALLS = []\ndef build(c, i):\n    CALLS.append(1)\n    return Net(c, i)\n")
    for _ in range(3):
        model_spec(name, 10, IMAGE)
    assert len(sys.modules[name.partition(":")[0]].CALLS) == 2
    model_spec(name, 5, IMAGE)
    assert len(sys.modules[name.partition(":")[0]].CALLS) == 4


def test_a_constant_of_the_module_may_be_a_buffer(write):
    """Networks that register one constant as a buffer get copies of their own, tied where it stands twice."""
    name = write(
        "B = torch.rand(3)\n"
        "def build(c, i):\n    n = Net(c, i)\n    n.register_buffer('b', B[1:])\n"
        "    n.register_buffer('again', n.b)\n    return n\n"
    )
    first, second = (build_model(name, 10, IMAGE) for _ in range(2))
    assert torch.equal(first.b, second.b)
    first.b.zero_()
    assert not torch.equal(first.b, second.b)
    assert first.again is first.b
