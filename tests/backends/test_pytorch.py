"""PyTorch's own backends: how `eager` runs a network, and what `compile` compiles."""

import pytest
import torch
from torch import Tensor, nn

from pruning_core.backends import BACKENDS, compile, load_executable
from pruning_core.errors import BackendError, OptionError
from tests.helpers.contract_network import (
    EXAMPLE,
    THREADS,
    SmallNet,
    assert_close,
    eager_logits,
    small_images,
    small_net,
)


def test_eager_runs_in_inference_mode() -> None:
    """Predictions and timed calls run in inference mode; a prediction is an ordinary tensor afterwards."""
    modes = []

    class Watching(SmallNet):
        def forward(self, images: Tensor) -> Tensor:
            """(N, 3, H, W) -> (N, 5)."""
            modes.append((torch.is_inference_mode_enabled(), self.training))
            return super().forward(images)

    loaded = load_executable("eager", Watching(), EXAMPLE, "fp32", "cpu", THREADS)
    logits = loaded.predict(small_images(2))
    loaded.bind(small_images(2))()
    assert set(modes) == {(True, False)}
    assert len(modes) == 2 + 2  # in both memory formats, when it is loaded, and as asked for
    assert not logits.is_inference()


def test_compile_was_told_what_it_says(monkeypatch) -> None:
    """`torch.compile` gets each option under the name and value that the executable gives."""
    told = {}

    def note(run, *, options, **named):
        told.update(named | options)
        return run

    monkeypatch.setattr(torch, "compile", note)
    loaded = compile.Inductor().load(small_net(), EXAMPLE, precision="fp32", device="cpu", threads=THREADS)
    loaded.predict(small_images(2))
    assert {name: str(value) for name, value in told.items()} == loaded.options()


@pytest.mark.slow
def test_compiling_many_networks_of_one_class_does_not_give_up() -> None:
    """Networks of one class, pruned to unlike widths, are all compiled in one process."""
    if BACKENDS["compile"].unavailable_reason("fp32", "cpu"):
        pytest.skip("no C++ compiler here")
    with torch._dynamo.config.patch(recompile_limit=1):
        for width in (4, 6):
            net, images = small_net(width), small_images(2)
            loaded = load_executable("compile", net, EXAMPLE, "fp32", "cpu", THREADS)
            assert_close(loaded.predict(images), eager_logits(net, images), "fp32")


def test_threads_are_set_for_pytorch() -> None:
    """Eager runs on as many CPU threads as it was told, and a negative number is refused."""
    before = torch.get_num_threads()
    try:
        load_executable("eager", small_net(), EXAMPLE, "fp32", "cpu", 1)
        assert torch.get_num_threads() == 1
        with pytest.raises(OptionError, match="got -1"):
            load_executable("eager", small_net(), EXAMPLE, "fp32", "cpu", -1)
    finally:
        torch.set_num_threads(before)


def test_smaller_batches_do_not_compile_again(monkeypatch) -> None:
    """`compile` pads a partial batch to one it has compiled, and compiles again only for a larger one."""
    compiled: list[int] = []

    def pretend_to_compile(model, placed):
        compiled.append(len(placed))
        return model

    monkeypatch.setattr(compile, "_compile", pretend_to_compile)
    net = small_net()
    loaded = compile.InductorExecutable(
        net.eval(), dtype=torch.float32, device="cpu", layout=torch.channels_last
    )
    for n in (4, 3, 1, 4, 5):
        images = small_images(n, seed=n)
        assert_close(loaded.predict(images), eager_logits(net, images), "fp32")
    loaded.bind(small_images(2))()
    assert compiled == [4, 5, 2]  # a timed batch is never padded


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_eager_lays_a_network_out_as_it_runs(precision) -> None:
    """Flattened by a view it runs in contiguous memory, else in channels_last, and the record can say so."""

    class Viewing(SmallNet):
        def forward(self, images: Tensor) -> Tensor:
            """(N, 3, H, W) -> (N, 5)."""
            x = nn.functional.conv2d(images, images.new_ones(4, 3, 3, 3))
            return super().forward(images) + x.view(len(x), -1).mean(1, keepdim=True)

    for net, expected in ((SmallNet(), "channels_last"), (Viewing(), "contiguous")):
        loaded = load_executable("eager", net.eval(), EXAMPLE, precision, "cpu", THREADS)
        assert loaded.memory_format == expected
        images = small_images(3)
        assert_close(loaded.predict(images), eager_logits(net, images), precision)


def test_a_model_that_has_no_such_precision_is_one_line() -> None:
    """A forward that writes float32 down cannot run in bf16; eager says so, at the first prediction."""

    class Fixed(SmallNet):
        def forward(self, images: Tensor) -> Tensor:
            """(N, 3, H, W) -> (N, 5)."""
            return super().forward(images.float())

    loaded = load_executable("eager", Fixed().eval(), EXAMPLE, "bf16", "cpu", THREADS)
    with pytest.raises(
        BackendError, match=r"cannot run this model on 2 images in bfloat16: RuntimeError"
    ) as caught:
        loaded.predict(small_images(2))
    assert "\n" not in str(caught.value)
