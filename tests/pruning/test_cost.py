"""Multiply-adds and parameters: published numbers, a cross-check, and what one counter alone would miss."""

import threading

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from pruning_core.errors import ModelError
from pruning_core.pruning.cost import count_cost
from pruning_core.pruning.cost import products as products_module
from pruning_core.pruning.cost.products import count_products
from pruning_core.torchvision_compat import models, torch_pruning
from tests.helpers.forward_networks import ForwardNetwork
from tests.helpers.odd_networks import IMAGE, ODD_NETWORKS, tokens

EXAMPLE = torch.zeros(1, 3, 16, 16)


class ConvNet(nn.Module):
    """Convolutions (one grouped, one with bias), norm, ReLU, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.grouped = nn.Conv2d(8, 12, 3, stride=2, groups=4, bias=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = self.relu(self.norm(self.conv(images)))
        return self.fc(self.pool(self.grouped(x)).flatten(1))


def test_the_tutorials_resnet18_costs_what_the_tutorial_says() -> None:
    """ResNet-18 with a 3×3 stem and no max-pool on 32×32 images: 0.56 G multiply-adds, 11.17 M parameters."""
    net = models.resnet18(weights=None, num_classes=10)
    net.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    net.maxpool = nn.Identity()
    cost = count_cost(net, torch.zeros(1, 3, 32, 32))
    assert (cost.macs, cost.macs_torch_pruning, cost.params) == (557_216_778, 557_216_778, 11_173_962)


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [
        ("resnet18", 1_822_177_768, 11_689_512),
        ("vit_b_32", 4_415_698_216, 88_224_232),
        pytest.param("vit_b_16", 17_593_519_096, 86_567_656, marks=pytest.mark.slow),
    ],
)
def test_published_counts_come_out(name: str, macs: int, params: int) -> None:
    """At 224, as torch-pruning's README has them: 1.8222 G, 4.4157 G, 17.59 G; both counts are the same."""
    cost = count_cost(models.get_model(name, weights=None), torch.zeros(1, 3, 224, 224))
    assert (cost.macs, cost.macs_torch_pruning, cost.params) == (macs, macs, params)


@pytest.mark.parametrize("name", ["swin_t", "convnext_tiny", "mobilenet_v3_small", "mnasnet1_0"])
def test_known_networks_cost_what_their_authors_say(name: str) -> None:
    """Products are those that torchvision states with its weights, to two digits: attention is not missed."""
    stated = {"swin_t": 4.491, "convnext_tiny": 4.456, "mobilenet_v3_small": 0.057, "mnasnet1_0": 0.314}
    cost = count_cost(models.get_model(name, weights=None), torch.zeros(1, 3, 224, 224))
    assert cost.macs_products / 1e9 == pytest.approx(stated[name], abs=6e-4)
    assert cost.macs_products <= cost.macs <= 1.07 * cost.macs_products


def test_agrees_with_pytorchs_own_counter_but_for_the_small_operations() -> None:
    """The products are those that PyTorch counts; on top come biases, norms, ReLU and pooling."""
    net = ConvNet().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(EXAMPLE)
    products = counter.get_total_flops() // 2  # it counts a multiply-add as two
    normed, grouped = 8 * 16 * 16, 12 * 7 * 7  # elements
    # Norm: scale and shift for each element; ReLU: one each; pooling: one for each input; biases: one for
    # each output. FlopCounterMode counts convolutions and matrix products only.
    small = 2 * normed + normed + grouped + grouped + 5
    assert count_cost(net, EXAMPLE).macs == products + small


def test_counts_every_parameter_once() -> None:
    """Parameters are those of the module, buffers not among them."""
    net = ConvNet()
    assert count_cost(net, EXAMPLE).params == sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_leaves_the_model_as_it_was(training) -> None:
    """Counting changes neither mode, nor statistics, nor hooks, nor attributes of the model."""
    net = ConvNet().train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    attributes = {name: set(vars(module)) for name, module in net.named_modules()}
    count_cost(net, EXAMPLE + 1)
    assert all(module.training == training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    assert {name: set(vars(module)) for name, module in net.named_modules()} == attributes


def test_counting_twice_gives_the_same() -> None:
    """Nothing is left behind that a second count would add up."""
    net = ConvNet()
    assert count_cost(net, EXAMPLE) == count_cost(net, EXAMPLE)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", ODD_NETWORKS)
@pytest.mark.parametrize("images", [1, 3])
def test_every_product_that_runs_is_counted(name: str, images: int) -> None:
    """Functions, subclasses, shared, fused, recurrent layers: by hand; small operations add up to a third."""
    make, products = ODD_NETWORKS[name]
    cost = count_cost(make(), torch.zeros(images, *IMAGE))
    assert cost.macs_products == products
    assert products <= cost.macs <= 4 * products / 3


@pytest.mark.parametrize(
    ("name", "wrong_by"),
    [
        ("transposed, stride 2", 3.77),
        ("a convolution in two parents", 1.97),
        ("a subclass that pads", 0),
        ("weight standardization", 0),
        ("weight norm", 0),
        ("LSTM", 16),
        ("attention by function", 0),
        ("a layer called three times", 1),
        ("TransformerEncoderLayer", 1),
    ],
)
def test_what_torch_pruning_says_stands_beside(name: str, wrong_by: float) -> None:
    """Its count is as it is, whatever it is of ours: who compares with its tables must see it."""
    cost = count_cost(ODD_NETWORKS[name][0](), torch.zeros(1, *IMAGE))
    assert cost.macs_torch_pruning is not None
    assert cost.macs_torch_pruning / cost.macs == pytest.approx(wrong_by, abs=0.005)


def test_torch_prunings_counter_may_fail_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Where it looks for what is not there, there is no count of its, no word of its, and ours stands."""
    cost = count_cost(ODD_NETWORKS["MultiheadAttention, fused"][0](), torch.zeros(1, *IMAGE))
    assert (cost.macs_torch_pruning, capsys.readouterr().out) == (None, "")


def test_small_operations_are_those_of_torch_pruning() -> None:
    """For layers that both know the two counts agree to the last operation: it is one convention."""
    layers = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.GELU(), nn.MaxPool2d(2), nn.PReLU(8)),
        *(nn.InstanceNorm2d(8), nn.Upsample(scale_factor=2), nn.LayerNorm([8, 14, 14]), nn.ELU()),
        *(nn.BatchNorm2d(8, affine=False), nn.AvgPool2d(2), nn.LeakyReLU(), nn.Flatten()),
        *(nn.Linear(8 * 7 * 7, 12), nn.BatchNorm1d(12), nn.ReLU6(), nn.Linear(12, 5, bias=False)),
    )
    cost = count_cost(layers, EXAMPLE)
    assert cost.macs == cost.macs_torch_pruning > cost.macs_products


def test_a_subclass_of_a_norm_counts_as_the_norm() -> None:
    """So that a network costs the same, whether it takes PyTorch's layer or one made from it."""

    class OwnNorm(nn.BatchNorm2d):
        pass

    plain, own = (nn.Sequential(nn.Conv2d(3, 8, 3), norm(8)) for norm in (nn.BatchNorm2d, OwnNorm))
    assert count_cost(plain, EXAMPLE).macs == count_cost(own, EXAMPLE).macs
    assert count_cost(own, EXAMPLE).macs_torch_pruning != count_cost(own, EXAMPLE).macs


def test_a_subclass_that_holds_layers_counts_with_them() -> None:
    """A norm with an activation inside, as timm has them, costs what the two cost apart."""

    class NormWithActivation(nn.BatchNorm2d):
        def __init__(self, width: int) -> None:
            super().__init__(width)
            self.activation = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.activation(super().forward(x))

    joined = nn.Sequential(nn.Conv2d(3, 8, 3), NormWithActivation(8))
    apart = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    assert count_cost(joined, EXAMPLE).macs == count_cost(apart, EXAMPLE).macs


def test_an_attention_layer_that_torch_pruning_knows_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its formula of timm's attention tells of the layers within too: they are not counted again."""

    class FusedAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.num_heads, self.qkv, self.proj = 4, nn.Linear(16, 48), nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.qkv(x).view(-1, 48, 3, 4, 4).permute(2, 0, 3, 1, 4)
            return self.proj(((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2))

    counter = torch_pruning.utils.op_counter
    formula = counter.timm_multihead_attention_counter_hook
    monkeypatch.setitem(counter.MODULES_MAPPING, FusedAttention, formula)
    cost = count_cost(ForwardNetwork(lambda net, x: net.layer(tokens(x)), layer=FusedAttention()), EXAMPLE)
    assert cost.macs == cost.macs_torch_pruning > cost.macs_products


def test_a_shared_layer_counts_as_often_as_it_is_called() -> None:
    """Small operations too: one block of two parents is hooked once, and each call counts once."""
    cost = count_cost(ODD_NETWORKS["a convolution in two parents"][0](), EXAMPLE)
    bias, norm, relu = 16 * 256, 2 * 16 * 256, 16 * 256
    assert cost.macs - cost.macs_products == bias + 2 * (bias + norm + relu)


class TakesGradients(ConvNet):
    """Multiplies its input by a gradient that it computes, whatever the caller said of gradients."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.conv(images).sum(), images)
        return super().forward(images * slope)


class GivesAParameter(nn.Module):
    """Hands a parameter to a layer, as class attention does."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 16))
        self.layer = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, 16, 16) -> (N, 5)."""
        return self.layer(self.token.expand(len(images), -1)) + self.layer(self.token)


def test_gradients_within_a_forward_are_counted() -> None:
    """A forward that turns gradients on works: what it computes is counted, backward convolutions too."""
    convolution = 256 * 8 * 3 * 9
    more = count_cost(TakesGradients(), EXAMPLE).macs_products - count_cost(ConvNet(), EXAMPLE).macs_products
    assert more == 2 * convolution
    assert count_cost(GivesAParameter(), EXAMPLE).macs_products == 2 * 16 * 5


def test_the_fused_encoder_is_used_again_afterwards() -> None:
    """PyTorch's fast path is off while operations are counted, and as it was then, also after an error."""
    assert torch.backends.mha.get_fastpath_enabled()
    count_cost(ODD_NETWORKS["TransformerEncoderLayer"][0](), torch.zeros(1, *IMAGE))
    with pytest.raises(ModelError):
        count_cost(ConvNet(), torch.zeros(1, 1, 16, 16))
    assert torch.backends.mha.get_fastpath_enabled()


def test_recurrent_layers_of_cudnn_are_counted() -> None:
    """On a GPU an LSTM is one operation of cuDNN; its products are those of the CPU's."""
    device = torch.device("meta")
    net = nn.LSTM(16, 24, 2, device=device)
    tokens = torch.zeros(48, 1, 16, device=device)
    state = torch.zeros(2, 1, 24, device=device)
    with count_products() as products:
        torch.ops.aten._cudnn_rnn(
            *(tokens, net._flat_weights, 4, None, state, state, 2, 24, 0, 2, False, 0.0, False, False),
            *([], None),
        )
    assert products.macs == 4 * 48 * ((16 + 24) * 24 + (24 + 24) * 24)


def test_deformable_convolutions_are_counted() -> None:
    """Torchvision's operator, where it is loaded, counts as the convolution that it is."""
    library = None
    if not hasattr(torch.ops.torchvision, "deform_conv2d"):  # torchvision was built for another torch
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define(
            "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
            "int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w, int groups, "
            "int offset_groups, bool use_mask) -> Tensor"
        )
        library.impl("deform_conv2d", lambda images, weight, *_: F.conv2d(images, weight) * 1, "CPU")
    weight, offset = torch.zeros(8, 3, 3, 3), torch.zeros(2, 18, 14, 14)
    with count_products() as products:
        torch.ops.torchvision.deform_conv2d(
            *(torch.zeros(2, 3, 16, 16), weight, offset, torch.zeros(2, 0), torch.zeros(8)),
            *(1, 1, 0, 0, 1, 1, 1, 1, False),
        )
    assert products.macs == 2 * 14 * 14 * 8 * 3 * 9
    del library


def test_chance_goes_on_as_if_nothing_was_counted() -> None:
    """Dropout that never ends draws while operations are counted; what is drawn afterwards stays the same."""
    net = nn.Sequential(nn.Flatten(), ForwardNetwork(lambda _, x: F.dropout(x, 0.5)))
    torch.manual_seed(0)
    before = torch.rand(1)
    torch.manual_seed(0)
    count_cost(net, EXAMPLE)
    assert torch.equal(torch.rand(1), before)


def test_masked_weights_cost_as_much_as_others() -> None:
    """Zeros in a weight do not make it cheaper: it is multiplied all the same."""
    net, masked = ConvNet(), ConvNet()
    masked.grouped.weight.data[::2] = 0
    assert count_cost(masked, EXAMPLE) == count_cost(net, EXAMPLE)


def test_an_image_that_does_not_fit_gives_one_line() -> None:
    """A network that does not run on the example is told with the example's shape, and what was done."""
    text = (
        r"cannot count multiply-adds: the network fails on an image of shape \(1, 1, 16, 16\): Given groups"
    )
    with pytest.raises(ModelError, match=text) as caught:
        count_cost(ConvNet(), torch.zeros(1, 1, 16, 16))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [IndexError, AttributeError, ValueError, KeyError])
def test_any_error_of_a_forward_gives_one_line(error: type[Exception]) -> None:
    """A user's forward may raise anything; none of it is a traceback."""

    def fail(_: ForwardNetwork, __: Tensor) -> Tensor:
        raise error("channels")

    with pytest.raises(ModelError, match=r"the network fails on an image of shape .*: .*channels"):
        count_cost(ForwardNetwork(fail), EXAMPLE)


def test_a_network_that_runs_is_not_said_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where counting itself goes wrong, the line says that the network runs."""

    def wrong(*_: object, **__: object) -> int:
        raise ValueError("no such shape")

    monkeypatch.setattr(products_module, "_matrix_vector", wrong)
    with pytest.raises(
        ModelError, match=r"the network runs on .*, but not while .* are counted: ValueError: no"
    ):
        count_cost(ODD_NETWORKS["a matrix by a vector"][0](), torch.zeros(1, *IMAGE))


def test_a_network_that_cannot_be_copied_gives_one_line() -> None:
    """What a network keeps may refuse to be copied: that is said, and nothing else."""
    net = ConvNet()
    net.lock = threading.Lock()
    with pytest.raises(ModelError, match=r"cannot .*cop.*lock"):
        count_cost(net, EXAMPLE)
