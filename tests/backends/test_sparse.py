"""Masked weights executed by sparse products: which layers, with which answers, and what is refused."""

import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from pruning_core.backends import BACKENDS, check_masked, load_executable, sparse, sparse24
from pruning_core.backends.sparse_layers import ProductConv2d, ProductLinear
from pruning_core.errors import BackendError, OptionError, UnavailableError
from tests.helpers.mask_networks import mask

EXAMPLE = torch.zeros(1, 3, 8, 8)
ON_CPU = ("csr", "bsr")
pytestmark = pytest.mark.skipif(
    bool(BACKENDS["csr"].unavailable_reason("fp32", "cpu")), reason="this PyTorch has no sparse products"
)


class Mixed(nn.Module):
    """Convolutions of one pixel and of nine, linear layers on tokens and vectors, with and without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.down = nn.Conv2d(16, 24, 1, stride=2)
        self.widen = nn.Linear(24, 48, bias=False)
        self.norm = nn.LayerNorm(48)
        self.twice = nn.Linear(48, 48)
        self.flat = nn.Linear(48, 32)
        self.fc = nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = torch.relu(self.down(torch.relu(self.stem(images)))).flatten(2).transpose(1, 2)
        x = self.norm(self.widen(x))
        x = self.twice(torch.relu(self.twice(x)))
        return self.fc(torch.relu(self.flat(x.mean(1))))


class Viewing(Mixed):
    """Views what a linear layer gives: its outputs must lie in one piece."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = torch.relu(self.down(self.stem(images))).flatten(2).transpose(1, 2)
        x = self.widen(x)
        x = x.view(len(x), -1, 2, 24).sum(2).repeat(1, 1, 2)
        return self.fc(torch.relu(self.flat(x.view(-1, 48)))).view(len(images), -1, 5).mean(1)


class ViewingVectors(Mixed):
    """Views what a linear layer gives of vectors: of one example alone they lie in one piece anyhow."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = self.norm(self.widen(self.down(self.stem(images)).mean((2, 3))))
        x = self.flat(torch.relu(self.twice(x)))
        return self.fc(x.view(2 * len(x), 16).view(len(x), 32))


class Attending(Mixed):
    """PyTorch's own attention reads the weight of its last layer, and does not call that."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(48, 4, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = self.widen(torch.relu(self.down(self.stem(images))).flatten(2).transpose(1, 2))
        return self.fc(self.flat(self.attention(x, x, x)[0].mean(1)))


def build(kind: type[nn.Module] = Mixed) -> nn.Module:
    """Build a network from a seed, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = kind()
        network.fc.weight.data *= 10
    return network.eval()


def images_of(n: int, seed: int = 0) -> Tensor:
    """Random images."""
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("ratio", [0.2, 0.9, 1.0])
@pytest.mark.parametrize("method", ["unstructured-l1", "block-sparse"])
@pytest.mark.parametrize("kind", [Mixed, Viewing, ViewingVectors, Attending])
@pytest.mark.parametrize("backend", ON_CPU)
def test_answers_like_the_network(backend, kind, method, ratio) -> None:
    """Whatever is masked, and however the network goes on with it, answers are those of eager."""
    network = mask(build(kind), method, ratio)
    loaded = load_executable(backend, network, EXAMPLE, "fp32", "cpu", 1)
    for n in (1, 5):
        with torch.inference_mode():
            expected = network(images_of(n, n))
        torch.testing.assert_close(loaded.predict(images_of(n, n)), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(loaded.bind(images_of(n, n))(), expected, rtol=1e-4, atol=1e-4)
    sparse_layers, masked = map(int, loaded.options()["sparse_layers"].split("/"))
    assert masked - sparse_layers == {Mixed: 1, ViewingVectors: 1, Viewing: 2, Attending: 3}[kind]


@pytest.mark.parametrize("backend", ON_CPU)
def test_only_masked_layers_are_sparse(backend) -> None:
    """Layers that are protected, or have hardly a zero, stay as they are; so does the network given."""
    network = mask(build(), "block-sparse", 0.5, protect=["twice"])
    with torch.no_grad():
        network.fc.weight.view(-1)[:10] = 0.0
    loaded = load_executable(backend, network, EXAMPLE, "fp32", "cpu", 1)
    products = {
        name
        for name, layer in loaded._model.named_modules()
        if isinstance(layer, ProductLinear | ProductConv2d)
    }
    assert products == {"down", "widen", "flat"}
    blocksize = {"blocksize": "8x8"} if backend == "bsr" else {}
    assert loaded.options() == {"sparse_layers": "3/4", **blocksize}
    assert not any(isinstance(layer, ProductLinear | ProductConv2d) for layer in network.modules())


@pytest.mark.parametrize("backend", ON_CPU)
def test_a_dense_network_is_that_of_eager(backend) -> None:
    """Without zeros it runs as on eager, bit by bit: it is what masked networks are timed against."""
    loaded, eager = (load_executable(name, build(), EXAMPLE, "fp32", "cpu", 1) for name in (backend, "eager"))
    assert loaded.options() == {}
    assert torch.equal(loaded.predict(images_of(4)), eager.predict(images_of(4)))
    assert loaded.memory_format == eager.memory_format


@pytest.mark.parametrize("laid_out", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("n", [1, 3])
def test_a_convolution_keeps_the_layout(laid_out, n) -> None:
    """What a sparse convolution gives lies in memory as the images that it got."""
    network = mask(build(), "unstructured-l1", 0.5)
    loaded = load_executable("csr", network, EXAMPLE, "fp32", "cpu", 1)
    images = torch.randn(n, 16, 6, 5).contiguous(memory_format=laid_out)
    outputs = loaded._model.down(images)
    assert outputs.is_contiguous(memory_format=laid_out)
    torch.testing.assert_close(outputs, network.down(images))


class TestRefusals:
    """What cannot be executed so is one line."""

    @pytest.mark.parametrize("kind", ["large", "grouped"])
    def test_nothing_but_convolutions(self, kind) -> None:
        """Masked convolutions of nine pixels, or in groups, have no sparse kernel: that is said."""
        layer = nn.Conv2d(16, 16, 3) if kind == "large" else nn.Conv2d(16, 16, 1, groups=2)
        network = nn.Sequential(
            OrderedDict(k=layer, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(16, 5))
        )
        mask(network, "unstructured-l1", 0.5)
        with pytest.raises(BackendError, match="csr can execute none of the 1 masked layers") as caught:
            load_executable("csr", network, torch.zeros(1, 16, 4, 4), "fp32", "cpu", 1)
        assert "'k', for one, is a convolution" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_blocks_that_do_not_divide(self) -> None:
        """Widths that are no multiple of the blocks stay dense; where all are so, that is said."""
        network = nn.Sequential(OrderedDict(a=nn.Linear(12, 16), b=nn.Linear(16, 20), fc=nn.Linear(20, 5)))
        mask(network, "unstructured-l1", 0.5)
        with pytest.raises(BackendError, match=r"'a', for one, has 16 × 12 weights, which blocks of side 8"):
            load_executable("bsr", network, torch.zeros(1, 12), "fp32", "cpu", 1)
        assert load_executable("csr", network, torch.zeros(1, 12), "fp32", "cpu", 1).options() == {
            "sparse_layers": "2/2"
        }

    @pytest.mark.parametrize("backend", ON_CPU)
    def test_other_devices(self, backend) -> None:
        """Both run on the CPU, and need MKL."""
        reason = BACKENDS[backend].unavailable_reason("fp32", "cuda:0")
        assert f"our backend {backend} runs on cpu only, not on cuda:0" in str(reason)

    @pytest.mark.parametrize("backend", ON_CPU)
    def test_a_build_without_mkl(self, monkeypatch, backend) -> None:
        """A PyTorch without the sparse products, as on Arm, says so."""
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
        with pytest.raises(UnavailableError, match="built without MKL"):
            load_executable(backend, build(), EXAMPLE, "fp32", "cpu", 1)

    def test_answers_that_differ(self, monkeypatch) -> None:
        """A product that is wrong gives no number."""
        right = sparse.product_on_cpu
        monkeypatch.setattr(
            "pruning_core.backends.csr.product_on_cpu",
            lambda stored, bias: lambda rows: 2 * right(stored, bias)(rows),
        )
        with pytest.raises(BackendError, match="the products of csr do not answer as the model does"):
            load_executable("csr", mask(build(), "unstructured-l1", 0.5), EXAMPLE, "fp32", "cpu", 1)

    def test_methods_that_cut(self) -> None:
        """Where nothing is masked there is nothing to skip; all other backends take any method."""
        with pytest.raises(OptionError, match="'csr' skips weights that are masked, and taylor masks none"):
            check_masked("csr", "taylor", masks=False)
        check_masked("csr", "unstructured-l1", masks=True)
        assert {name for name, backend in BACKENDS.items() if backend.for_masks} == {*ON_CPU, "sparse24"}
        check_masked("eager", "taylor", masks=False)


def test_previews_are_not_announced() -> None:
    """PyTorch warns once in a process that its sparse tensors are in beta; nobody gets to read that."""
    lines = (
        "import torch, warnings",
        "from pruning_core.backends import load_executable",
        "net = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 2))",
        "net[0].weight.data[:8] = 0",
        "for name in ('csr', 'bsr'):",
        "    load_executable(name, net, torch.zeros(1, 16), 'fp32', 'cpu', 1).predict(torch.zeros(3, 16))",
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestTwoOfFour:
    """`sparse24`, as far as it can be seen without a GPU."""

    def test_a_cpu_has_no_such_units(self) -> None:
        """On a CPU it is refused in one line, with what to use."""
        with pytest.raises(UnavailableError, match="2:4 weights run on CUDA only, not on cpu") as caught:
            load_executable("sparse24", build(), EXAMPLE, "bf16", "cpu", 1)
        assert "\n" not in str(caught.value)

    def test_a_build_and_a_gpu_without_them(self, monkeypatch) -> None:
        """PyTorch needs cuSPARSELt, and the GPU to be of Ampere or later."""
        backend = BACKENDS["sparse24"]
        monkeypatch.setattr(torch.backends.cusparselt, "is_available", lambda: False)
        assert "without cuSPARSELt" in str(backend.unavailable_reason("bf16", "cuda"))
        monkeypatch.setattr(torch.backends.cusparselt, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
        assert "older than Ampere" in str(backend.unavailable_reason("bf16", "cuda"))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
        assert backend.unavailable_reason("bf16", "cuda") is None

    @pytest.mark.parametrize(
        ("shape", "method", "reason"),
        [
            ((64, 32), "semi-structured", None),
            ((64, 32), "unstructured-l1", "has more than 2 weights in some groups of 4"),
            ((64, 48), "semi-structured", "has 64 × 48 weights, and needs multiples of 32"),
            ((40, 64), "semi-structured", "has 40 × 64 weights, and needs multiples of 32"),
        ],
    )
    def test_which_weights_fit(self, shape, method, reason) -> None:
        """The pattern and the shape decide; what semi-structured masks fits."""
        layer = nn.Linear(shape[1], shape[0])
        mask(nn.Sequential(OrderedDict(a=layer, fc=nn.Linear(shape[0], 4))), method, 0.5)
        assert sparse24.Sparse24().unfit_reason(layer.weight.detach()) == reason

    def test_a_product_gets_rows_in_one_piece(self, monkeypatch) -> None:
        """The weight is compressed once, and what it multiplies is contiguous, as PyTorch's views need it."""
        compressed, multiplied = [], []
        monkeypatch.setattr(sparse24, "to_sparse_semi_structured", lambda w: compressed.append(w) or w)
        linear = sparse24.F.linear
        monkeypatch.setattr(
            sparse24.F,
            "linear",
            lambda rows, weight, bias: multiplied.append(rows) or linear(rows, weight, bias),
        )
        weight, bias, rows = torch.randn(32, 64), torch.randn(32), torch.randn(64, 7).t()
        product = sparse24.Sparse24().store(weight, bias)
        torch.testing.assert_close(product(rows), rows @ weight.t() + bias)
        product(rows)
        assert len(compressed) == 1
        assert all(given.is_contiguous() for given in multiplied)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_two_of_four_on_a_gpu(precision) -> None:
    """Masked linear layers of fitting widths run on the units for 2:4, and answer as eager fp32 does."""
    if reason := BACKENDS["sparse24"].unavailable_reason(precision, "cuda"):
        pytest.skip(reason)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            OrderedDict(
                a=nn.Linear(64, 128), act=nn.ReLU(), b=nn.Linear(128, 96, bias=False), fc=nn.Linear(96, 5)
            )
        )
    mask(network, "semi-structured", 0.5)
    loaded = load_executable("sparse24", network, torch.zeros(1, 64), precision, "cuda", 1)
    assert loaded.options() == {"sparse_layers": "2/2"}
    for n in (1, 7, 64):
        rows = torch.randn(n, 64)
        with torch.inference_mode():
            expected = network(rows)
        scale = float(expected.abs().max())
        assert float((loaded.predict(rows) - expected).abs().max()) < 0.05 * scale
