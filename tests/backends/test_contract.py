"""Every backend answers as eager fp32 does; the table says which backends and precisions there are."""

import importlib.util
import time
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from pruning_core.backends import BACKENDS, compile, load_executable, openvino
from pruning_core.backends.base import Executable, options_text
from pruning_core.backends.onnx_export import export_onnx
from pruning_core.errors import BackendError, OptionError
from pruning_core.system.hardware import usable_cores
from pruning_core.system.thread_idle import POLL_EVERY_S, TASKS, other_threads_running
from tests.helpers.backend_inputs import images_of

THREADS = 2
EXAMPLE = torch.zeros(1, 3, 12, 12)
CALIBRATION = images_of(64, seed=9, side=12)

small_images = partial(images_of, side=12)


class SmallNet(nn.Module):
    """Convolutions, norms with statistics that matter, a residual addition, a linear layer."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.fc = nn.Linear(width, 5)
        self.drop = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = torch.relu(self.norm(self.stem(images)))
        x = torch.relu(x + self.inner(x))
        return self.fc(self.drop(x.mean(dim=(2, 3))))


def small_net(width: int = 8) -> SmallNet:
    """Build the network with statistics as after training, in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(width)
        net = SmallNet(width)
        net.norm.running_mean.normal_()
        net.norm.running_var.uniform_(0.5, 2.0)
        net.fc.weight.data *= 10  # logits of order 1, classes well apart
    return net.train()


def eager_logits(net: nn.Module, images: Tensor) -> Tensor:
    """Run a network in eager fp32 and leave it as it was."""
    was_training = net.training
    net.eval()
    with torch.no_grad():
        logits: Tensor = net(images)
    net.train(was_training)
    return logits


def assert_close(logits: Tensor, expected: Tensor, precision: str) -> None:
    """Hold logits against those of eager fp32, as closely as the precision allows."""
    assert logits.dtype == torch.float32
    assert logits.device.type == "cpu"
    assert logits.shape == expected.shape
    scale = float(expected.abs().max())
    if precision == "fp32":
        assert float((logits - expected).abs().max()) <= 1e-3 * scale
    else:
        # int8: random images may lie outside of the calibrated ranges.
        assert float((logits - expected).abs().max()) <= (12e-2 if precision == "int8" else 5e-2) * scale
        top = expected.topk(2, dim=1).values
        clear = top[:, 0] - top[:, 1] > 0.02 * scale  # where rounding may not decide
        same = logits.argmax(dim=1) == expected.argmax(dim=1)
        assert int(same[clear].sum()) >= 0.95 * int(clear.sum())


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


def test_openvino_fp32_is_not_silently_bf16() -> None:
    """On a CPU with bfloat16, OpenVINO left alone takes it for float32 models; ours computes in float32."""
    if BACKENDS["openvino"].unavailable_reason("fp32", "cpu"):
        pytest.skip("OpenVINO is not here")
    net, images = small_net(), small_images(7)
    expected = eager_logits(net, images)
    loaded = load_executable("openvino", net, EXAMPLE, "fp32", "cpu", THREADS)
    scale = float(expected.abs().max())
    # bfloat16 keeps 8 bits: it would be off by 1e-3 of the scale and more.
    assert float((loaded.predict(images) - expected).abs().max()) < 1e-5 * scale
    assert float((loaded.bind(images)() - expected).abs().max()) < 1e-5 * scale


@pytest.mark.parametrize(
    ("threads", "n", "streams"),
    [(2, 1, 1), (2, 31, 1), (2, 32, 2), (2, 33, 1), (4, 32, 2), (4, 64, 4), (3, 96, 3), (1, 128, 1)],
)
def test_openvino_splits_a_large_batch_between_streams(threads, n, streams) -> None:
    """Each stream gets as many images, 16 at least, and each image its own answer, in every call."""
    if BACKENDS["openvino"].unavailable_reason("fp32", "cpu"):
        pytest.skip("OpenVINO is not installed")
    net = small_net()
    loaded = load_executable("openvino", net, EXAMPLE, "fp32", "cpu", threads)
    assert isinstance(loaded, openvino.OpenVinoExecutable)
    assert loaded.streams_for(n) == streams
    images = small_images(n, seed=n)
    run = loaded.bind(images)
    if threads <= usable_cores():  # OpenVINO makes no more streams than there are cores
        assert loaded._by_batch[n].get_property("NUM_STREAMS") == streams
    assert loaded.options(n).get("NUM_STREAMS", "1") == str(streams)
    for _ in range(3):
        torch.testing.assert_close(run(), eager_logits(net, images), rtol=1e-3, atol=1e-3)


def test_openvino_waits_for_all_streams() -> None:
    """No call returns before the last image has its answer."""
    if BACKENDS["openvino"].unavailable_reason("fp32", "cpu"):
        pytest.skip("OpenVINO is not installed")
    run = load_executable("openvino", small_net(32), EXAMPLE, "fp32", "cpu", 2).bind(small_images(256))
    for _ in range(100):
        logits = run()
        kept = logits.clone()
        logits.fill_(torch.nan)
        assert kept.isfinite().all()


def test_openvino_that_runs_another_precision_is_an_error(monkeypatch) -> None:
    """If OpenVINO does not run the precision it was asked for, no number is produced."""
    if BACKENDS["openvino"].unavailable_reason("bf16", "cpu"):
        pytest.skip("OpenVINO has no bf16 here")
    monkeypatch.setitem(openvino.PRECISIONS, "fp32", ("bf16", "f32", 0.01))
    with pytest.raises(BackendError, match="asked for bf16 and runs bf16"):
        load_executable("openvino", small_net(), EXAMPLE, "fp32", "cpu", THREADS)


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


def test_an_export_of_a_network_is_the_same_bytes_every_time() -> None:
    """Exporting twice gives the same ONNX file."""
    if importlib.util.find_spec("onnx") is None:
        pytest.skip("onnx is not here")
    assert export_onnx(small_net(), EXAMPLE) == export_onnx(small_net(), EXAMPLE)


class Branching(SmallNet):
    """A forward that depends on the images: tracing writes down one branch."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        logits = super().forward(images)
        return logits if float(images.abs().max()) == 0 else logits + 1


def test_an_export_that_answers_otherwise_is_refused() -> None:
    """A network whose forward branches on its input gives an error, not other answers."""
    if BACKENDS["onnxruntime"].unavailable_reason("fp32", "cpu"):
        pytest.skip("ONNX Runtime is not here")
    with pytest.raises(BackendError, match="may branch on its input") as caught:
        load_executable("onnxruntime", Branching(), EXAMPLE, "fp32", "cpu", THREADS)
    assert "\n" not in str(caught.value)


class Broken(nn.Module):
    """A forward that fails."""

    def forward(self, images: Tensor) -> Tensor:
        """Raise."""
        raise ValueError("first line\nsecond line")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_model_that_cannot_be_exported_is_one_line(name) -> None:
    """A backend that cannot take a model says why in one line."""
    if BACKENDS[name].unavailable_reason("fp32", "cpu"):
        pytest.skip(f"{name} is not here")
    with pytest.raises(BackendError, match=r"cannot export this model to ONNX: first line$"):
        load_executable(name, Broken(), EXAMPLE, "fp32", "cpu", THREADS)


def test_whatever_a_runtime_raises_becomes_one_line(monkeypatch) -> None:
    """An exception of a foreign library is turned into a BackendError that names backend and device."""

    class Unlucky(type(BACKENDS["eager"])):
        def load(self, model, example, *, precision, device, threads, calibration=None):
            raise MemoryError("no room\nframe 1")

    monkeypatch.setitem(BACKENDS, "eager", Unlucky())
    with pytest.raises(BackendError, match=r"^backend eager:fp32 cannot run this model on cpu: no room$"):
        load_executable("eager", small_net(), EXAMPLE, "fp32", "cpu", THREADS)


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


def test_attention_layers_are_exported() -> None:
    """PyTorch's own attention layers run by one fused operation in evaluation, which ONNX lacks."""

    class Attending(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images: Tensor) -> Tensor:
            """(N, 3, H, W) -> (N, 5)."""
            x = nn.functional.adaptive_avg_pool2d(images, (4, 2)).transpose(1, 2).flatten(2)[:, :, :6]
            x = nn.functional.pad(x, (0, 2))
            return super().forward(images) + self.attention(x, x, x)[0].mean((1, 2))[:, None]

    before = torch.backends.mha.get_fastpath_enabled()
    assert export_onnx(Attending().eval(), EXAMPLE)
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_a_graph_that_cannot_be_exported_is_not_printed(capfd) -> None:
    """The exporter would print pages of its graph; the user gets one line."""

    class Unknown(SmallNet):
        def forward(self, images: Tensor) -> Tensor:
            """(N, 3, H, W) -> (N, 5)."""
            return super().forward(images) * torch.vdot(images.flatten(), images.flatten())

    with pytest.raises(BackendError, match=r"vdot"):
        export_onnx(Unknown().eval(), EXAMPLE)
    assert capfd.readouterr() == ("", "")
