"""A synced replacement is whole or does not happen."""

import os
from pathlib import Path

import pytest

from pruning_core.files import atomic
from pruning_core.files.atomic import check_writable, replace_synced, write_text_file


def test_a_file_is_replaced(tmp_path):
    """The new content is there under the name, and the draft is gone."""
    path, draft = tmp_path / "state", tmp_path / "state.writing"
    path.write_bytes(b"old")
    replace_synced(path, draft, b"new")
    assert path.read_bytes() == b"new"
    assert not draft.exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_half_way_changes_nothing(tmp_path, monkeypatch, step):
    """Where the disk is full, or renaming fails, the old content stays and no draft is left."""
    path, draft = tmp_path / "state", tmp_path / "state.writing"
    path.write_bytes(b"old")

    def refuse(*_):
        raise OSError("no space left")

    monkeypatch.setattr(atomic.os, step, refuse)
    with pytest.raises(OSError, match="no space left"):
        replace_synced(path, draft, b"new")
    assert os.listdir(tmp_path) == ["state"]
    assert path.read_bytes() == b"old"


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    """As a shell's `>` does; also where what it leads to is not there yet."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "file")
    for text in ("first", "second"):
        write_text_file(link, text)
        assert link.is_symlink()
        assert (tmp_path / "real" / "file").read_text() == text
    assert os.listdir(tmp_path / "real") == ["file"]


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no /dev/fd here")
def test_what_is_open_already_is_written_to(tmp_path):
    """A shell's pipe (`-o >(less)`, `-o /dev/stdout`) is no file to replace; what a log holds stays."""
    reading, writing = os.pipe()
    check_writable(Path(f"/dev/fd/{writing}"))
    write_text_file(Path(f"/dev/fd/{writing}"), "through a pipe")
    os.close(writing)
    with os.fdopen(reading) as file:
        assert file.read() == "through a pipe"
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("a") as file:
        check_writable(Path(f"/dev/fd/{file.fileno()}"))
        write_text_file(Path(f"/dev/fd/{file.fileno()}"), "after\n")
    assert log.read_text() == "before\nafter\n"
    assert os.listdir(tmp_path) == ["log"]
