"""Networks whose multiply-adds torch-pruning's counter misses or misreads, or that any counter may miss."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize

from tests.helpers.forward_networks import ForwardNetwork

IMAGE = (3, 16, 16)


class PaddedConv2d(nn.Conv2d):
    """A convolution that pads by itself, as TensorFlow's `same` does."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H, W)."""
        return super().forward(F.pad(images, (1, 1, 1, 1)))


class StandardizedConv2d(nn.Conv2d):
    """Weight standardization: each filter loses its mean and is divided by its deviation."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H, W)."""
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(images, weight, self.bias, self.stride, self.padding)


class Block(nn.Module):
    """A convolution that may be another block's too, a norm, a ReLU."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = conv, nn.BatchNorm2d(16), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 16, H, W) -> the same."""
        return self.relu(self.norm(self.conv(x)))


class Centred(nn.Module):
    """A parametrization that takes the mean off."""

    def forward(self, weight: Tensor) -> Tensor:
        """Any shape -> the same."""
        return weight - weight.mean()


def tokens(images: Tensor) -> Tensor:
    """(N, 3, 16, 16) -> (N, 48, 16): sixteen numbers a row of pixels."""
    return images.flatten(1, 2)


def _shared_in_two_parents() -> nn.Module:
    conv = nn.Conv2d(16, 16, 3, padding=1)
    return nn.Sequential(nn.Conv2d(3, 16, 1), Block(conv), Block(conv))


def _called_three_times() -> nn.Module:
    def run(net: ForwardNetwork, images: Tensor) -> Tensor:
        x = net.first(images)
        for _ in range(3):
            x = net.again(x)
        return x

    return ForwardNetwork(run, first=nn.Conv2d(3, 16, 1), again=nn.Conv2d(16, 16, 3, padding=1))


def _nested_shared() -> nn.Module:
    block = Block(nn.Conv2d(16, 16, 3, padding=1))
    return nn.Sequential(nn.Conv2d(3, 16, 1), nn.Sequential(block, nn.Sequential(block)), block)


def _lazy() -> nn.Module:
    net = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
    net(torch.zeros(1, *IMAGE))
    return net


def _scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's: users go on scripting
        return torch.jit.script(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))


def _parametrized() -> nn.Module:
    conv = nn.Conv2d(3, 8, 3)
    parametrize.register_parametrization(conv, "weight", Centred())
    return nn.Sequential(conv)


def _attention(need_weights: bool, batch_first: bool = True) -> nn.Module:
    def run(net: ForwardNetwork, images: Tensor) -> Tensor:
        x = tokens(images) if batch_first else tokens(images).transpose(0, 1)
        return net.mha(query=x, key=x, value=x, need_weights=need_weights)[0]

    return ForwardNetwork(run, mha=nn.MultiheadAttention(16, 4, batch_first=batch_first))


def _on_tokens(layer: nn.Module) -> nn.Module:
    return ForwardNetwork(lambda net, images: net.layer(tokens(images)), layer=layer)


def _recurrent(layer: nn.Module) -> nn.Module:
    return ForwardNetwork(lambda net, images: net.layer(tokens(images))[0], layer=layer)


def _packed() -> nn.Module:
    def run(net: ForwardNetwork, images: Tensor) -> Tensor:
        lengths = [48] * len(images)
        packed = nn.utils.rnn.pack_padded_sequence(tokens(images), lengths, batch_first=True)
        return net.lstm(packed)[0].data

    return ForwardNetwork(run, lstm=nn.LSTM(16, 24, batch_first=True))


def _by_function(run: Callable[[Tensor], Tensor]) -> nn.Module:
    return ForwardNetwork(lambda _, images: run(images))


def _dispatched(name: str, *shape: int) -> Tensor:
    return torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape)


W = _dispatched("weight", 16, 24)
V = _dispatched("vector", 16)
K = _dispatched("kernel", 8, 3, 3, 3)

CONV3 = 14 * 14 * 8 * 3 * 9  # of K, over an image without padding
QKV, SCORES = 48 * 16 * 16, 48 * 48 * 16  # a projection of the tokens; a product of tokens with tokens

ODD_NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "transposed, stride 2": (
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1)),
        16 * 16 * 3 * 8 * 16,
    ),
    "transposed, grouped": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 6, 4, stride=2, groups=2)),
        256 * 3 * 4 + 256 * 4 * 3 * 16,
    ),
    "transposed, 1-d": (
        lambda: _on_tokens(nn.ConvTranspose1d(48, 8, 4, stride=2, padding=1)),
        16 * 48 * 8 * 4,
    ),
    "transposed, 3-d": (
        lambda: ForwardNetwork(
            lambda net, images: net.up(images.unsqueeze(2)), up=nn.ConvTranspose3d(3, 4, 2, stride=2)
        ),
        256 * 3 * 4 * 8,
    ),
    "a convolution in two parents": (_shared_in_two_parents, 256 * (3 * 16 + 2 * 16 * 16 * 9)),
    "a layer called three times": (_called_three_times, 256 * (3 * 16 + 3 * 16 * 16 * 9)),
    "a block within blocks": (_nested_shared, 256 * (3 * 16 + 3 * 16 * 16 * 9)),
    "a subclass that pads": (lambda: nn.Sequential(PaddedConv2d(3, 8, 3)), 256 * 8 * 3 * 9),
    "weight standardization": (lambda: nn.Sequential(StandardizedConv2d(3, 8, 3)), CONV3),
    "weight norm": (lambda: nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 8, 3))), CONV3),
    "a parametrization": (_parametrized, CONV3),
    "lazy layers": (_lazy, CONV3 + 8 * 14 * 14 * 5),
    "scripted": (_scripted, CONV3),
    "MultiheadAttention, fused": (lambda: _attention(False), 4 * QKV + 2 * SCORES),
    "MultiheadAttention, weights asked for": (lambda: _attention(True), 4 * QKV + 2 * SCORES),
    "MultiheadAttention, batch second": (lambda: _attention(False, False), 4 * QKV + 2 * SCORES),
    "TransformerEncoderLayer": (
        lambda: _on_tokens(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)),
        4 * QKV + 2 * SCORES + 2 * 48 * 16 * 32,
    ),
    "TransformerEncoder": (
        lambda: _on_tokens(nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2)),
        2 * (4 * QKV + 2 * SCORES + 2 * 48 * 16 * 32),
    ),
    "attention by function": (
        lambda: _by_function(
            lambda images: F.scaled_dot_product_attention(*[tokens(images).unsqueeze(1)] * 3)
        ),
        2 * SCORES,
    ),
    "attention by function, few keys": (
        lambda: _by_function(
            lambda images: F.scaled_dot_product_attention(
                tokens(images).view(-1, 4, 48, 4),
                tokens(images).view(-1, 4, 48, 4)[:, :2],
                tokens(images).view(-1, 4, 48, 4)[:, :2],
                enable_gqa=True,
            )
        ),
        2 * SCORES,
    ),
    "RNN": (lambda: _recurrent(nn.RNN(16, 24, batch_first=True)), 48 * (16 + 24) * 24),
    "GRU": (lambda: _recurrent(nn.GRU(16, 24, batch_first=True)), 3 * 48 * (16 + 24) * 24),
    "LSTM": (lambda: _recurrent(nn.LSTM(16, 24, batch_first=True)), 4 * 48 * (16 + 24) * 24),
    "LSTM, two layers both ways": (
        lambda: _recurrent(nn.LSTM(16, 24, 2, batch_first=True, bidirectional=True)),
        4 * 48 * 2 * ((16 + 24) * 24 + (48 + 24) * 24),
    ),
    "LSTM, packed": (_packed, 4 * 48 * (16 + 24) * 24),
    "LSTM, projected": (
        lambda: _recurrent(nn.LSTM(16, 24, batch_first=True, proj_size=8)),
        48 * (4 * (16 + 8) * 24 + 24 * 8),
    ),
    "LSTMCell": (
        lambda: ForwardNetwork(
            lambda net, images: net.cell(tokens(images)[:, 0])[0], cell=nn.LSTMCell(16, 24)
        ),
        4 * (16 + 24) * 24,
    ),
    "Bilinear": (
        lambda: ForwardNetwork(
            lambda net, images: net.pair(images.mean((2, 3)), images[:, 0, 0]), pair=nn.Bilinear(3, 16, 5)
        ),
        5 * 3 * 16 + 5 * 16,
    ),
    "an Embedding": (
        lambda: ForwardNetwork(
            lambda net, images: net.out(net.words((images[:, 0, 0] * 0).long())),
            words=nn.Embedding(10, 8),
            out=nn.Linear(8, 5),
        ),
        16 * 8 * 5,
    ),
    "F.conv2d": (lambda: _by_function(lambda images: F.conv2d(images, K)), CONV3),
    "F.linear": (lambda: _by_function(lambda images: F.linear(tokens(images), W.t())), 48 * 16 * 24),
    "@": (lambda: _by_function(lambda images: tokens(images) @ W), 48 * 16 * 24),
    "einsum": (
        lambda: _by_function(lambda images: torch.einsum("nti,io->nto", tokens(images), W)),
        48 * 16 * 24,
    ),
    "bmm": (
        lambda: _by_function(lambda images: torch.bmm(tokens(images), tokens(images).mT)),
        48 * 48 * 16,
    ),
    "addbmm": (
        lambda: _by_function(
            lambda images: torch.addbmm(torch.zeros(48, 48), tokens(images), tokens(images).mT)[None]
        ),
        48 * 48 * 16,
    ),
    "a product with its activation": (
        lambda: _by_function(
            lambda images: torch._addmm_activation(torch.zeros(24), tokens(images).flatten(0, 1), W)
        ),
        48 * 16 * 24,
    ),
    "a matrix by a vector": (lambda: _by_function(lambda images: tokens(images).flatten(0, 1) @ V), 48 * 16),
    "addmv": (
        lambda: _by_function(lambda images: torch.addmv(torch.zeros(1), tokens(images).flatten(0, 1), V)),
        48 * 16,
    ),
    "a vector by a vector": (
        lambda: _by_function(lambda images: images[:, 0, 0].flatten() @ images[:, 1, 0].flatten()),
        16,
    ),
    "distances": (
        lambda: _by_function(lambda images: torch.cdist(tokens(images), W.t().unsqueeze(0))),
        48 * 24 * 16,
    ),
    "distances of few": (
        lambda: _by_function(lambda images: torch.cdist(images[:, 0], images[:, 1])),
        16 * 16 * 16,
    ),
    "conv_tbc": (
        lambda: _by_function(
            lambda images: torch.conv_tbc(
                images[:, 0].transpose(0, 1).contiguous(), W.view(3, 16, 8), torch.zeros(8), 1
            )
        ),
        16 * 3 * 16 * 8,
    ),
}
"""What it is → how it is made, and the multiply-adds of its products for one image, by hand."""
