"""CUDA graphs: without a GPU, all but the capture itself; with one, the capture too."""

import pytest
import torch

from pruning_core.backends import cudagraph, load_executable
from pruning_core.backends.cudagraph import Captured, CudaGraphExecutable
from tests.helpers.backend_inputs import images_of, tiny
from tests.helpers.factories import Tiny


@pytest.fixture
def captured(monkeypatch) -> list[int]:
    """Play captures on the CPU: a replay reads and writes only the memory that the capture saw."""
    sizes: list[int] = []

    def play(model: torch.nn.Module, images: torch.Tensor) -> Captured:
        sizes.append(len(images))
        logits = torch.full((len(images), 10), torch.nan)  # a capture computes nothing

        def replay() -> None:
            with torch.no_grad():
                logits.copy_(model(images))

        return Captured(replay, images, logits)

    monkeypatch.setattr(cudagraph, "_capture", play)
    return sizes


def executable() -> CudaGraphExecutable:
    """Hold the small network; nothing is captured yet."""
    return CudaGraphExecutable(tiny(), dtype=torch.float32, device="cpu", layout=torch.channels_last)


def test_predictions_replay_one_graph_per_batch_size(captured) -> None:
    """Partial batches are padded to a captured size; every image gets its own answer."""
    loaded = executable()
    for n in (4, 3, 1, 4, 5):
        images = images_of(n, seed=n)
        assert torch.allclose(loaded.predict(images), tiny()(images), atol=1e-5)
    assert captured == [4, 5]


def test_a_prediction_outlives_the_next_replay(captured) -> None:
    """Logits handed out are not the graph's own memory."""
    loaded = executable()
    first = loaded.predict(images_of(3, seed=1))
    kept = first.clone()
    loaded.predict(images_of(3, seed=2))
    assert torch.equal(first, kept)


def test_each_timed_batch_has_a_graph_of_its_own(captured) -> None:
    """Logits of one callable hold while another of the same size runs, and predictions do not touch them."""
    loaded = executable()
    one, two = images_of(4, seed=1), images_of(4, seed=2)
    run_one, run_two = loaded.bind(one), loaded.bind(two)
    first = run_one()
    kept = first.clone()
    run_two()
    loaded.predict(two)
    assert torch.equal(first, kept)
    assert torch.allclose(run_one(), tiny()(one), atol=1e-5)
    assert torch.allclose(run_two(), tiny()(two), atol=1e-5)


def test_a_timed_call_replays_and_does_nothing_else(monkeypatch) -> None:
    """A timed call copies no images: it replays once and hands out the graph's logits."""
    replays = []
    logits = torch.zeros(2, 10)
    monkeypatch.setattr(
        cudagraph, "_capture", lambda model, images: Captured(lambda: replays.append(1), images, logits)
    )
    run = executable().bind(images_of(2))
    assert run() is logits
    assert replays == [1]


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_graph_answers_as_eager_does(precision) -> None:
    """On CUDA, a replayed graph answers as eager PyTorch of the same precision, with new images too."""
    graph, eager = (
        load_executable(name, tiny(), images_of(1), precision, "cuda", 1) for name in ("cudagraph", "eager")
    )
    for n in (4, 3, 5):
        images = images_of(n, seed=n)
        assert torch.allclose(graph.predict(images), eager.predict(images), rtol=1e-2, atol=1e-2)
    run = graph.bind(images_of(2))
    assert torch.allclose(run().float().cpu(), eager.predict(images_of(2)), rtol=1e-2, atol=1e-2)


@pytest.mark.gpu
@GPU
def test_a_model_that_waits_for_the_device_cannot_be_captured() -> None:
    """On CUDA, a forward that asks for a value is refused in one line."""
    from pruning_core.errors import BackendError

    class Waiting(Tiny):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            """(N, C, H, W) -> (N, classes)."""
            return super().forward(images) * (1.0 if float(images.sum()) > 0 else 2.0)

    with pytest.raises(BackendError, match="cannot be captured in a CUDA graph"):
        load_executable("cudagraph", Waiting(), images_of(1), "fp32", "cuda", 1).predict(images_of(1))
