"""Pictures that nothing holds: decoded on the way, they are the same, and so is what is learnt of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from torch import Tensor, nn

from pruning_core.config.pictures import PictureOptions
from pruning_core.config.spec import TrainSpec
from pruning_core.datasets import decoding as decoding_module
from pruning_core.datasets import folder_images, load_dataset
from pruning_core.datasets.base import Dataset
from pruning_core.datasets.batches import announce_batches, batches, make_batch, sample_epoch
from pruning_core.datasets.on_the_way import ImagesOnTheWay
from pruning_core.errors import DatasetError
from pruning_core.tasks.classification import Classification
from pruning_core.training.loop import train
from tests.helpers.decoders import decoding_processes
from tests.helpers.factories import write_user_model
from tests.helpers.photographs import damage, write_photographs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Write sixty photographs, one of them broken."""
    write_photographs(tmp_path / "photographs", count=60, sizes=7, broken=1)
    return tmp_path / "photographs"


@pytest.fixture
def nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make disk and memory too small for any pixel, and have three processes decode."""
    monkeypatch.setattr(folder_images, "MAX_FRACTION", 0.0)
    monkeypatch.setattr(folder_images, "usable_cores", lambda: 3)


def load(folder: Path, cache: Path | None = None) -> Dataset:
    """Load as a grid does."""
    options = PictureOptions(image_size=24, test_share=0.3, skip_broken=1)
    return load_dataset(f"folder:{folder}", cache=cache, pictures=options)


def epoch(dataset: Dataset, announced: bool = True) -> list[tuple[Tensor, Tensor]]:
    """Return the batches of an augmented epoch."""
    first, second = (torch.Generator().manual_seed(seed) for seed in (0, 1))
    choices = torch.split(sample_epoch(dataset.train, dataset.spec, 16, first, second), 16)
    if announced:
        announce_batches(dataset.train, choices)
    return [make_batch(dataset.train, dataset.spec, chosen, "cpu") for chosen in choices]


def assert_equal(ours: list[tuple[Tensor, Tensor]], theirs: list[tuple[Tensor, Tensor]]) -> None:
    """Compare batches."""
    for pair, other in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(pair, other, strict=True))


@pytest.mark.parametrize("cached", [True, False])
def test_the_dataset_is_the_same(
    photographs: Path, tmp_path: Path, cached: bool, request, capsys: pytest.CaptureFixture[str]
) -> None:
    """Spec, batches and test pictures are those of pixels that are kept; a line says what is done."""
    kept = load(photographs)
    request.getfixturevalue("nothing_fits")
    on_the_way = load(photographs, tmp_path / "cache" if cached else None)
    assert "pictures are decoded on the way, 3 at a time" in capsys.readouterr().err
    assert isinstance(on_the_way.train.images, ImagesOnTheWay)
    assert on_the_way.spec == kept.spec
    assert on_the_way.train.images.shape == kept.train.images.shape
    assert_equal(epoch(on_the_way), epoch(kept))
    assert decoding_processes() == []
    assert_equal(epoch(on_the_way, announced=False), epoch(kept))
    assert_equal(list(batches(on_the_way.test, on_the_way.spec, 5)), list(batches(kept.test, kept.spec, 5)))
    assert decoding_processes() == []


def test_what_is_known_of_them_is_kept(
    photographs: Path, tmp_path: Path, nothing_fits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run decodes nothing to learn spec and broken pictures; no pixels lie in the cache."""
    first = load(photographs, tmp_path / "cache")
    assert sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*")) < 20_000
    monkeypatch.setattr(decoding_module, "read_picture", None)  # calling it would fail
    assert load(photographs, tmp_path / "cache").spec == first.spec


def test_an_epoch_may_be_left(photographs: Path, nothing_fits: None) -> None:
    """Who stops in the midst of an epoch and begins another one gets the right pictures."""
    dataset = load(photographs)
    whole = epoch(dataset)
    for _ in range(2):
        choices = torch.split(sample_epoch(dataset.train, dataset.spec, 16), 16)
        announce_batches(dataset.train, choices)
        make_batch(dataset.train, dataset.spec, choices[0], "cpu")
        assert_equal(epoch(dataset), whole)


class Tiny(nn.Sequential):
    """A network that learns which pictures are bright."""

    def __init__(self) -> None:
        layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        super().__init__(*layers, nn.Flatten(), nn.Linear(4, 2))


def test_what_is_learnt_is_the_same(photographs: Path, request) -> None:
    """A training on pictures that are decoded on the way gives the very weights."""
    spec = TrainSpec(epochs=2, batch_size=16, precision="fp32", device="cpu")
    weights = []
    for fixture in (None, "nothing_fits"):
        if fixture:
            request.getfixturevalue(fixture)
        dataset = load(photographs)
        torch.manual_seed(0)
        network = Tiny()
        train(network, Classification(dataset), spec)
        weights.append(network.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_file_that_changes_later_is_named(photographs: Path, nothing_fits: None) -> None:
    """A picture that is damaged while a training runs ends it, and is named."""
    dataset = load(photographs)
    for file in photographs.rglob("*.png"):
        damage(file)
    for announced in (True, False):
        with pytest.raises(DatasetError, match=r"\.png was read before, and cannot be any more"):
            epoch(dataset, announced)


PROGRAM = """
import sys
from pruning_core.__main__ import run
from pruning_core.datasets import folder_images
folder_images.MAX_FRACTION = 0.0
sys.argv = ["pruning-bench", *sys.argv[1:]]
run()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_training_leaves_nobody(photographs: Path, tmp_path: Path) -> None:
    """Ctrl-C in the midst of a training on the way ends it in one line, and every process with it."""
    model = write_user_model(tmp_path, "way_nets")
    grid = tmp_path / "grid.toml"
    grid.write_text(
        'ratios = [0.5]\nthreads = 1\n[train]\nepochs = 1000\nbatch_size = 8\nprecision = "fp32"\n'
    )
    arguments = ["prepare", f"--grid={grid}", f"--model={model}", f"--dataset=folder:{photographs}"]
    arguments += ["--image-size=24", "--test-share=0.3", "--skip-broken=1", f"--store={tmp_path / 'store'}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("making "):
                break
        parent, found = psutil.Process(process.pid), []
        end = time.monotonic() + 120
        while not found and time.monotonic() < end:
            found = parent.children(recursive=True)
        process.send_signal(signal.SIGINT)
        last = process.stderr.read().strip().splitlines()[-1]
        assert process.wait(timeout=60) == 130
    assert found
    assert last.startswith("interrupted by SIGINT")
    _, alive = psutil.wait_procs(found, timeout=30)
    assert alive == []
