"""What is no sound checkpoint of this version is told apart: damage, a passing error, another version."""

import errno
import json
import os
import shutil

import pytest

from pruning_core.config.spec import key_of
from pruning_core.errors import DamagedCheckpointError, OtherVersionError, StoreError
from pruning_core.store import Store, files
from pruning_core.store.marker import MARKER
from tests.helpers.factories import dense_spec, made

KEY = key_of(dense_spec())


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOMEM, errno.ETIMEDOUT]
)
def test_a_passing_read_error_is_no_damage(store, said, monkeypatch, number):
    """A file that cannot be read just now says nothing about the checkpoint: nothing is moved."""
    store.get_or_make(dense_spec(), lambda _: made())
    really_open = os.open

    def refuse(path, *arguments, **others):
        if str(path).endswith("metrics.json"):
            raise OSError(number, os.strerror(number), str(path))
        return really_open(path, *arguments, **others)

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(StoreError, match="Nothing was changed") as caught:
        store.find(dense_spec())
    assert not isinstance(caught.value, DamagedCheckpointError)
    assert len(str(caught.value).splitlines()) == 1
    monkeypatch.undo()
    assert store.find(dense_spec()) is not None
    assert said == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["spec.json", "plan.json", "metrics.json", "weights.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "endless", "sparse", "folder", "dangling", "deep", "digits"])
def test_what_is_no_file_of_ours_is_damage_without_a_wait(store, said, name, kind):
    """Pipes, devices, huge, deep and linked files in place of a checkpoint's are found at once."""
    path = store.get_or_make(dense_spec(), lambda _: made()).path / name
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "endless":
            path.symlink_to("/dev/zero")
        case "sparse":
            with path.open("wb") as file:
                file.truncate(2**40)
        case "folder":
            path.mkdir()
        case "dangling":
            path.symlink_to("nowhere")
        case "deep":
            path.write_bytes(b"[" * 100_000)
        case "digits":
            path.write_bytes(b'{"key": ' + b"9" * 5_000 + b"}")
    with pytest.raises(DamagedCheckpointError) as caught:
        store.load(KEY)
    assert len(str(caught.value).splitlines()) == 1
    assert store.find(dense_spec()) is None
    assert "quarantined" in said[0]
    assert (store.root / "set-aside").is_dir()


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_a_key_that_is_no_folder_is_found_before_training(store, said, kind):
    """What bears the name of a checkpoint, and is none, is quarantined before it is made."""
    path = store.root / KEY
    path.write_text("") if kind == "file" else path.symlink_to("nowhere")
    store.get_or_make(dense_spec(), lambda _: made())
    assert "it is not a folder" in said[0]
    assert store.find(dense_spec()) is not None


def test_another_recipe_version_is_named_and_left(run, store, monkeypatch):
    """A sound checkpoint of another recipe version is neither damaged nor moved; the others are listed."""
    store.get_or_make(dense_spec(), lambda _: made())
    other = dense_spec(7)
    key = key_of(other, 1)
    shutil.copytree(store.root / KEY, store.root / key)
    path = store.root / key / "spec.json"
    about = json.loads(path.read_text())
    for versioned in (True, False):  # as this program writes it, and as earlier ones did
        about |= {"key": key, "spec": other.model_dump(mode="json")}
        about.pop("recipe_version", None)
        if versioned:
            about["recipe_version"] = 1
        path.write_text(json.dumps(about))
        with pytest.raises(OtherVersionError, match="recipe version 1, this program"):
            store.load(key)
        code, out, err = run("store", "verify", "--store", str(store.root))
        assert code == 0
        assert "1 sound, 0 damaged, 1 of another version" in out
        assert "left as it is" in err
        code, out, _ = run("store", "ls", "--store", str(store.root))
        assert code == 0
        assert f"{key[:12]}  of another version" in out
    run("store", "gc", "--store", str(store.root))
    assert path.exists()


def test_another_format_is_named_and_left(store, said):
    """A checkpoint of a format that this program does not read is not quarantined: it may be sound."""
    path = store.get_or_make(dense_spec(), lambda _: made()).path / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(OtherVersionError, match="format 99"):
        store.find(dense_spec())
    assert said == []
    marker = store.root / MARKER
    marker.write_text(json.dumps({"format": 99, "recipe_version": 1}))
    for open_store in (Store, Store.open_existing):
        with pytest.raises(OtherVersionError, match="format 99"):
            open_store(store.root)


def test_a_store_from_before_the_marker_is_one(run, store):
    """A folder with a checkpoint of ours is read, and marked when it is written to."""
    store.get_or_make(dense_spec(), lambda _: made())
    (store.root / MARKER).unlink()
    code, out, _ = run("store", "verify", "--store", str(store.root))
    assert (code, "1 sound" in out) == (0, True)
    assert not (store.root / MARKER).exists()
    Store(store.root)
    assert json.loads((store.root / MARKER).read_text())["format"] == 1
