"""Every backend answers as eager fp32 does; the table says which backends and precisions there are."""

import time
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from pruning_core.backends import BACKENDS, load_executable, openvino
from pruning_core.backends.base import Executable, options_text
from pruning_core.errors import BackendError
from pruning_core.system.thread_idle import POLL_EVERY_S, TASKS, other_threads_running
from tests.helpers.contract_network import (
    EXAMPLE,
    THREADS,
    assert_close,
    eager_logits,
    small_images,
    small_net,
)

CALIBRATION = small_images(64, seed=9)


def load_pair(pair: tuple[str, str], net: nn.Module) -> Executable:
    """Make a network ready to run on a backend and precision of this machine's CPU."""
    return load_executable(pair[0], net, EXAMPLE, pair[1], "cpu", THREADS, calibration=CALIBRATION)


def _pairs_here() -> Iterator[object]:
    for name, backend in BACKENDS.items():
        for precision in backend.precisions:
            if backend.unavailable_reason(precision, "cpu") is None:
                marks = [pytest.mark.slow] if name == "compile" else []
                yield pytest.param((name, precision), id=f"{name}-{precision}", marks=marks)


@pytest.fixture(scope="module", params=_pairs_here())
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each backend and precision that runs here."""
    return request.param


@pytest.fixture(scope="module")
def executable(pair: tuple[str, str]) -> Executable:
    """The small network made ready to run; loaded once, as compiling takes a while."""
    loaded = load_pair(pair, small_net())
    loaded.predict(small_images(7))  # so that `compile` pads smaller batches to 7 instead of compiling each
    return loaded


@pytest.mark.parametrize("n", [1, 3, 7])
def test_answers_like_eager_fp32_for_any_batch_size(pair, executable, n) -> None:
    """Logits agree with the eager fp32 network in evaluation mode, in batches of any size."""
    images = small_images(n, seed=n)
    assert_close(executable.predict(images), eager_logits(small_net(), images), pair[1])


def test_keeps_the_order_of_many_images(pair, executable) -> None:
    """In one batch of 33, each image gets its own answer."""
    if pair[0] == "compile":
        pytest.skip("would compile for 33 images; padding is tested by the small batches")
    images = small_images(33, seed=33)
    assert_close(executable.predict(images), eager_logits(small_net(), images), pair[1])


def test_an_answer_outlives_the_next_call(pair, executable) -> None:
    """Logits of a first prediction do not change when others are made."""
    first = executable.predict(small_images(3, seed=1))
    kept = first.clone()
    second = executable.predict(small_images(3, seed=2))
    assert torch.equal(first, kept)
    assert not torch.equal(first, second)


def test_bound_callables_keep_their_own_images(pair, executable) -> None:
    """Two callables bound to different images answer for their own, however they take turns."""
    one, two = (small_images(7, seed=seed).to(memory_format=torch.channels_last) for seed in (1, 2))
    expected_one, expected_two = eager_logits(small_net(), one), eager_logits(small_net(), two)
    run_one, run_two = executable.bind(one), executable.bind(two)
    one.zero_()  # what a caller does with its images later is its own affair
    for _ in range(2):
        assert_close(run_one().float().cpu().clone(), expected_one, pair[1])
        assert_close(run_two().float().cpu().clone(), expected_two, pair[1])


def test_bound_callables_gain_no_gradient_history(pair, executable) -> None:
    """A timed call runs without recording anything for a backward pass."""
    assert not executable.bind(small_images(7))().requires_grad


def test_says_how_images_lie_in_memory(pair, executable) -> None:
    """Every executable names its memory format."""
    assert executable.memory_format in ("contiguous", "channels_last", "backend")


OPTIONS = {
    "eager": "",
    "csr": "",  # of a network without zeros
    "bsr": "",
    "sparse24": "",
    "cudagraph": "",
    "compile": "dynamic=False, freezing=True, fullgraph=True",
    "onnxruntime": "session.intra_op.spin_duration_us=2000",
    "openvino": "INFERENCE_PRECISION_HINT={hint}, PERFORMANCE_HINT=LATENCY",
    "tensorrt": "session.disable_cpu_ep_fallback=1, session.intra_op.spin_duration_us=2000",
}


def test_says_what_the_runtime_was_told(pair, executable) -> None:
    """Every executable names the options that differ from its runtime's defaults, sorted by name."""
    hint = openvino.PRECISIONS[pair[1]][0] if pair[0] == "openvino" else ""
    assert options_text(executable.options()) == OPTIONS[pair[0]].format(hint=hint)
    assert options_text(executable.options(1)) == options_text(executable.options())


def test_options_of_every_backend_are_expected() -> None:
    """The table above has each backend; text is sorted, whatever the order of what was told."""
    assert OPTIONS.keys() == BACKENDS.keys()
    assert options_text({"b": "2", "a": "1"}) == "a=1, b=2"


def test_onnxruntime_was_told_what_it_says() -> None:
    """An open session has each option under the name and value that the executable gives."""
    if BACKENDS["onnxruntime"].unavailable_reason("fp32", "cpu"):
        pytest.skip("ONNX Runtime is not here")
    loaded = load_executable("onnxruntime", small_net(), EXAMPLE, "fp32", "cpu", THREADS)
    session = loaded._session.get_session_options()
    assert {name: session.get_session_config_entry(name) for name in loaded.options()} == loaded.options()


def test_leaves_the_model_as_it_was(pair) -> None:
    """Loading changes neither weights, nor types, nor the training mode, nor hooks of the model given."""
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    load_pair(pair, net)
    after = net.state_dict()
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert {name: value.dtype for name, value in after.items()} == {n: v.dtype for n, v in before.items()}
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(module._forward_hooks for module in net.modules())


def test_loading_and_running_is_silent(pair, capfd) -> None:
    """Nothing is printed, by us or by a runtime's C++ code; warnings would be errors here anyway."""
    loaded = load_pair(pair, small_net())
    if pair[0] != "compile":
        loaded.bind(small_images(2))()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.skipif(not TASKS.is_dir(), reason="needs Linux's states of threads")
def test_threads_are_idle_after_a_call(executable) -> None:
    """No runtime spins until its next call: however busy the machine is, its threads are all seen asleep."""
    executable.bind(small_images(2))()
    looks = 0
    while other_threads_running() and looks < 20_000:
        looks += 1
        time.sleep(POLL_EVERY_S)
    assert looks < 20_000


def test_whatever_a_runtime_raises_becomes_one_line(monkeypatch) -> None:
    """An exception of a foreign library is turned into a BackendError that names backend and device."""

    class Unlucky(type(BACKENDS["eager"])):
        def load(self, model, example, *, precision, device, threads, calibration=None):
            raise MemoryError("no room\nframe 1")

    monkeypatch.setitem(BACKENDS, "eager", Unlucky())
    with pytest.raises(BackendError, match=r"^backend eager:fp32 cannot run this model on cpu: no room$"):
        load_executable("eager", small_net(), EXAMPLE, "fp32", "cpu", THREADS)
