"""Checkpoints of photographs are exported on their own: read as in training, to one size."""

import numpy as np
import pytest
from PIL import Image

from pruning_core.store import Store
from tests.helpers.command_line import command_line
from tests.helpers.factories import write_user_model
from tests.helpers.photographs import CLASSES, damage, make_photograph

GRID = 'model = "{model}"\ndataset = "folder:pics"\nratios = [0.5]\n[train]\nepochs = 1\nbatch_size = 8\n'


@pytest.mark.slow
def test_pictures_of_many_sizes_are_read_as_in_training(monkeypatch, capsys, tmp_path):
    """The size is that of the network; share and broken ones are named again; int8 has its images, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    run = command_line(monkeypatch, capsys)
    model = write_user_model(tmp_path, "photo_nets")
    for label, light in zip(CLASSES, (140, 10), strict=True):
        (tmp_path / "pics" / label).mkdir(parents=True)
        for number in range(20):
            picture = make_photograph(number, light, 20 + number, 40 - number)
            picture.save(tmp_path / "pics" / label / f"{number}.png")
    damage(tmp_path / "pics" / "dark" / "3.png")
    (tmp_path / "g.toml").write_text(GRID.format(model=model))
    read = ("--test-share", "0.3", "--skip-broken", "1")
    code, _, err = run("prepare", "--grid", "g.toml", "--image-size", "16", *read, "--store", "s")
    assert code == 0, err
    keys = list(Store.open_existing(tmp_path / "s").stored_keys())
    for precision in ("fp32", "int8"):
        how = ("--to", "openvino", "-o", f"{precision}.xml", "--precision", precision, "--store", "s")
        code, _, err = run("export", keys[-1], *how, "--dataset", "folder:pics", *read)
        assert code == 0, err
        assert (tmp_path / f"{precision}.xml").exists()
    code, _, err = run("export", keys[-1], *how, "--force", "--dataset", "folder:pics")
    assert (code, len(err.splitlines())) == (2, 1)


def test_a_picture_that_is_broken_is_counted_once(monkeypatch, capsys, tmp_path):
    """Also where the decoded pixels are damaged and the first picture is the broken one."""
    from pruning_core.config.pictures import PictureOptions
    from pruning_core.datasets import load_dataset

    for split in ("train", "test"):
        for label in CLASSES:
            (tmp_path / "pics" / split / label).mkdir(parents=True)
            for number in range(4):
                pixels = np.full((8, 8, 3), 10 * number, np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pics" / split / label / f"{number}.png")
    damage(tmp_path / "pics" / "train" / "bright" / "0.png")
    name, options = f"folder:{tmp_path / 'pics'}", PictureOptions(skip_broken=1)
    first = load_dataset(name, cache=tmp_path / "cache", pictures=options)
    (pixels,) = (tmp_path / "cache").rglob("train.npy")
    content = bytearray(pixels.read_bytes())
    content[-1] ^= 255
    pixels.chmod(0o644)
    pixels.write_bytes(content)
    again = load_dataset(name, cache=tmp_path / "cache", pictures=options)
    assert again.spec == first.spec
