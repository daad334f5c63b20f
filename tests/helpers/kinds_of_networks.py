"""Small networks of the kinds that bug reports of pruning tools name: for images of 3×16×16, 10 classes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.forward_networks import ForwardNetwork, FusedAttention, conv

IMAGE = (3, 16, 16)


def pooled(run: Callable[..., Tensor], width: int, **layers: nn.Module) -> nn.Module:
    """Return a network whose maps of `width` channels, as `run` makes them, are averaged and classified."""
    return ForwardNetwork(lambda m, x: m.out(run(m, x).mean((2, 3))), **layers, out=nn.Linear(width, 10))


def between(change: Callable[[nn.Module, Tensor], Tensor], width: int = 16, **layers: nn.Module) -> nn.Module:
    """Return two convolutions with something between them: from 16 maps to `width` maps."""
    return pooled(
        lambda m, x: F.relu(m.b(change(m, F.relu(m.a(x))))), 12, a=conv(3, 16), **layers, b=conv(width, 12)
    )


def in_a_row(*layers: nn.Module, width: int) -> nn.Module:
    """Return layers one after another, and a classifier."""
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def on_tokens(**layers: nn.Module) -> nn.Module:
    """Return a network of layers that run, each beside a shortcut, on sixteen tokens of width 32."""

    def run(m: nn.Module, x: Tensor) -> Tensor:
        x = m.patches(x).flatten(2).transpose(1, 2) + m.position
        for name in layers:
            x = x + getattr(m, name)(x)
        return m.out(m.norm(x).mean(1))

    ends = {"norm": nn.LayerNorm(32), "out": nn.Linear(32, 10)}
    network = ForwardNetwork(run, patches=nn.Conv2d(3, 32, 4, 4), **layers, **ends)
    network.position = nn.Parameter(torch.randn(1, 16, 32))
    return network


def mlp(norm: nn.Module) -> nn.Module:
    """Return a norm and two linear layers, as in a transformer."""
    return nn.Sequential(norm, nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))


class Block(nn.Module):
    """A convolution that may be another block's too, and a norm of its own."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm = convolution, nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 16, H, W) → the same."""
        return F.relu(self.norm(self.conv(x)))


class Versioned(nn.Module):
    """Loads by its version alone, as torchvision's MNASNet."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 16, H, W) → the same."""
        return self.conv(x)

    def _load_from_state_dict(self, state, prefix, metadata, *others) -> None:
        if metadata.get("version") != 2:
            raise ValueError(f"version {metadata.get('version')} of a state is not known")
        super()._load_from_state_dict(state, prefix, metadata, *others)


def shared_in_two_blocks() -> nn.Module:
    """Return two blocks of one convolution."""
    shared = conv(16, 16)
    return in_a_row(conv(3, 16), nn.ReLU(), Block(shared), Block(shared), width=16)


def one_block_thrice() -> nn.Module:
    """Return `[block] * 3`."""
    return in_a_row(conv(3, 16), nn.ReLU(), *[Block(conv(16, 16))] * 3, width=16)


def tied_weights() -> nn.Module:
    """Return two convolutions of one weight, each with a bias of its own."""
    network = in_a_row(conv(3, 16), nn.ReLU(), conv(16, 16), nn.ReLU(), conv(16, 16), nn.ReLU(), width=16)
    network[4].weight = network[2].weight
    return network


def with_buffer(name: str, content: Tensor, change: Callable[[nn.Module, Tensor], Tensor]) -> nn.Module:
    """Return two convolutions; what is between them uses a buffer."""
    network = between(change)
    network.register_buffer(name, content)
    return network


def with_scale(shape: tuple[int, ...]) -> nn.Module:
    """Return a network that multiplies its maps by a parameter."""
    network = between(lambda m, x: x * m.scale)
    network.scale = nn.Parameter(torch.rand(shape))
    return network


def with_response_norm() -> nn.Module:
    """Return two convolutions with a norm of responses between them."""
    network = pooled(responding, 16, a=conv(3, 12), b=conv(12, 16))
    network.weight = nn.Parameter(torch.rand(1, 12, 1, 1))
    return network


def maxout(x: Tensor) -> Tensor:
    """Keep the larger of each two channels."""
    return x.unflatten(1, (x.shape[1] // 2, 2)).amax(2)


def halves(m: nn.Module, x: Tensor) -> Tensor:
    """Gate one half of the channels by the other."""
    first, second = m.a(x).chunk(2, 1)
    return F.relu(m.b(first * second.sigmoid()))


def joined(m: nn.Module, x: Tensor) -> Tensor:
    """Join branches of unequal widths, and what they read."""
    x = F.relu(m.s(x))
    return F.relu(m.o(torch.cat([F.relu(m.a(x)), F.relu(m.b(x)), x], 1)))


def squeezed(m: nn.Module, x: Tensor) -> Tensor:
    """Weigh channels, as in a SENet."""
    return x * m.e(F.relu(m.r(x.mean((2, 3))))).sigmoid()[:, :, None, None]


def responding(m: nn.Module, x: Tensor) -> Tensor:
    """Weigh channels by their norm over all pixels, relative to the mean of the channels, as ConvNeXt V2."""
    x = F.gelu(m.a(x))
    norm = x.norm(p=2, dim=(2, 3), keepdim=True)
    return m.b(x + x * (norm / (norm.mean(1, keepdim=True) + 1e-6)) * m.weight)


def with_head(m: nn.Module, x: Tensor) -> Tensor:
    """Run an auxiliary head in training."""
    x = F.relu(m.a(x))
    answer = m.out(F.relu(m.b(x)).mean((2, 3)))
    return (answer, m.aux(x.mean((2, 3)))) if m.training else answer


KINDS: dict[str, tuple[Callable[[], nn.Module], set[str]]] = {
    "branches joined": (
        lambda: pooled(joined, 16, s=conv(3, 12), a=conv(12, 8), b=conv(12, 20), o=conv(40, 16)), set()
    ),
    "one convolution in two blocks": (shared_in_two_blocks, set()),
    "one block thrice": (one_block_thrice, set()),
    "tied weights": (tied_weights, set()),
    "response norm": (with_response_norm, set()),
    "version of a state": (lambda: in_a_row(conv(3, 16), Versioned(), nn.ReLU(), width=16), set()),
    "depthwise": (lambda: between(lambda m, x: m.d(x), d=conv(16, 16, groups=16)), set()),
    "grouped": (lambda: between(lambda m, x: m.g(x), d=conv(16, 16), g=conv(16, 16, groups=4)), {"d"}),
    "transposed, depthwise": (
        lambda: between(lambda m, x: m.d(x), d=nn.ConvTranspose2d(16, 16, 2, 2, groups=16)), set()
    ),
    "transposed, grouped": (
        lambda: between(lambda m, x: m.d(x), d=nn.ConvTranspose2d(16, 16, 2, 2, groups=2)), {"a", "d"}
    ),
    "three dimensions": (
        lambda: ForwardNetwork(
            lambda m, x: m.out(F.relu(m.b(m.n(m.a(x.unsqueeze(2))))).mean((2, 3, 4))),
            a=nn.Conv3d(3, 16, (1, 3, 3)), n=nn.BatchNorm3d(16), b=nn.Conv3d(16, 8, 1), out=nn.Linear(8, 10),
        ), set(),
    ),
    "maxout": (lambda: between(lambda _, x: maxout(x), 8), set()),
    "gated halves": (lambda: pooled(halves, 16, a=conv(3, 32), b=conv(16, 16)), set()),
    "channels by number": (
        lambda: with_buffer("order", torch.arange(16).flip(0), lambda m, x: x[:, m.order]), {"a"}
    ),
    "kernel in a buffer": (
        lambda: with_buffer("kernel", torch.rand(16, 1, 3, 3), lambda m, x: F.conv2d(x, m.kernel, groups=16)),
        {"a"},
    ),
    "squeeze and excite": (lambda: between(squeezed, r=nn.Linear(16, 8), e=nn.Linear(8, 16)), set()),
    "layer scale": (lambda: with_scale((1, 16, 1, 1)), set()),
    "scale of one number": (lambda: with_scale((1,)), set()),
    "group norm": (lambda: between(lambda m, x: m.n(x), n=nn.GroupNorm(4, 16)), set()),
    "instance norm": (lambda: between(lambda m, x: m.n(x), n=nn.InstanceNorm2d(16, affine=True)), set()),
    "batch norm without weights": (
        lambda: between(lambda m, x: m.n(x), n=nn.BatchNorm2d(16, affine=False)), set()
    ),
    "slopes": (lambda: between(lambda m, x: m.n(x - 1), n=nn.PReLU(16)), set()),
    "weight norm": (
        lambda: between(lambda m, x: m.n(x), n=nn.utils.parametrizations.weight_norm(conv(16, 16))), set()
    ),
    "spectral norm": (
        lambda: between(lambda m, x: m.n(x), n=nn.utils.parametrizations.spectral_norm(conv(16, 16))), set()
    ),
    "vision transformer": (
        lambda: on_tokens(attention=FusedAttention(32), mlp=mlp(nn.LayerNorm(32))), set()
    ),
    "encoder of PyTorch's": (
        lambda: on_tokens(encoder=nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)), set()
    ),
    "recurrent": (
        lambda: ForwardNetwork(
            lambda m, x: m.out(m.r(F.relu(m.a(x)).mean(2).transpose(1, 2))[0][:, -1]),
            a=conv(3, 16), r=nn.LSTM(16, 24, batch_first=True), out=nn.Linear(24, 10),
        ), set(),
    ),
    "repeated channels": (lambda: between(lambda _, x: x.repeat_interleave(2, 1), 32), {"a"}),
    "auxiliary head": (
        lambda: ForwardNetwork(
            with_head, a=conv(3, 16), b=conv(16, 16), aux=nn.Linear(16, 10), out=nn.Linear(16, 10)
        ), {"aux"},
    ),
    "frozen": (lambda: in_a_row(conv(3, 16).requires_grad_(False), conv(16, 16), nn.ReLU(), width=16), set()),
}  # fmt: skip
"""Name → how it is built, and layers whose groups keep their width, named."""
