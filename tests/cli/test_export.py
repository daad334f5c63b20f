"""`pruning-bench export`: from a run's cell to a file, and each mistake in one line."""

import json

import pytest

from pruning_core.stats.intervals import wilson_interval
from pruning_core.store import Store
from pruning_core.store.checkpoint import Metrics
from tests.helpers.command_line import command_line
from tests.helpers.exports import open_shop
from tests.helpers.factories import dense_spec, made
from tests.helpers.record_factory import make_content


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; give its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    return command_line(monkeypatch, capsys)


def write_record(path, shop, **fields):
    """Write a run whose one pruned cell is that of the shop."""
    content = make_content(ratios=(0.5,), backends=("eager:fp32",), suites=("accuracy",))
    entry = next(e for e in content["benchmarks"] if e["extra_info"]["ratio"] == 0.5)
    del entry["extra_info"]["correct_bits"]
    entry["extra_info"] |= {"key": shop.pruned.key, **fields}
    content["benchmarks"] = [entry]
    path.write_text(json.dumps(content))
    return f"{path}::{entry['extra_info']['cell']}"


def scored(correct):
    """Return the fields of a score on 70 images."""
    low, high = wilson_interval(correct, 70)
    fields = {"accuracy": correct / 70, "accuracy_low": low, "accuracy_high": high, "accuracy_n": 70}
    return {**fields, "dense_accuracy": 0.5, "accuracy_drop": 0.5 - correct / 70}


@pytest.mark.slow
def test_a_cell_becomes_a_file(monkeypatch, capsys, tmp_path):
    """A cell in int8 is exported as it was measured; the table says so within 80 columns."""
    with open_shop(tmp_path) as shop:
        run = command_line(monkeypatch, capsys)
        accuracy = shop.pruned.metrics.accuracy
        as_measured = {"backend": "openvino", "precision": "int8", **scored(round(70 * accuracy))}
        what = write_record(tmp_path / "run.json", shop, **as_measured)
        code, out, err = run("export", what, "--to", "openvino", "-o", "net.xml", "--store", shop.store)
        assert code == 0, err
        assert (tmp_path / "net.xml").is_file()
        assert (tmp_path / "net.bin").is_file()
        assert max(map(len, out.splitlines())) <= 80
        assert "recorded" in out
        assert f"{accuracy:.2%}" in out
        code, _, err = run("export", what, "--to", "openvino", "-o", "net.xml", "--store", shop.store)
        assert (code, "is there already: replace it with --force" in err) == (2, True)
        wrong = write_record(tmp_path / "run.json", shop, **as_measured | scored(63))
        code, _, err = run("export", wrong, "--to", "openvino", "-o", "other.xml", "--store", shop.store)
        assert (code, "says 90.00%; it was removed" in err) == (2, True)
        assert not (tmp_path / "other.xml").exists()


@pytest.mark.slow
def test_without_the_dataset(monkeypatch, capsys, tmp_path):
    """Where the images are gone, one line says so; random ones will do, but not for int8."""
    with open_shop(tmp_path) as shop:
        run = command_line(monkeypatch, capsys)
        key, to = shop.pruned.key[:10], ("--to", "onnx", "-o", "net.onnx", "--store", shop.store)
        code, _, err = run("export", key, *to, "--dataset", "digits")
        assert (code, "holds other images than those" in err) == (2, True)
        code, _, err = run("export", key, *to, "--dataset", "folder:/nowhere")
        assert (code, "--inputs random" in err) == (2, True)
        code, _, err = run("export", key, *to, "--inputs", "random", "--precision", "int8")
        assert (code, "int8 takes its ranges from training images" in err) == (2, True)
        assert not (tmp_path / "net.onnx").exists()
        code, out, _ = run("export", key, *to, "--inputs", "random")
        assert (code, "64 random images" in out) == (0, True)


def test_mistakes_are_one_line(run, tmp_path):
    """A format, a precision, a key, a target: each mistake is one line, exit code 2; nothing is written."""
    store = Store(tmp_path / "store")
    key = store.get_or_make(dense_spec(), lambda _: made()).key
    for arguments, said in (
        ((key, "--to", "onx", "-o", "a.onnx"), "no export format 'onx'. Did you mean 'onnx'"),
        ((key, "--to", "onnx", "-o", "a.onnx", "--precision", "bf16"), "has no precision 'bf16'"),
        ((key, "--to", "onnx", "-o", "a.pt"), "a file of format onnx ends with .onnx"),
        ((key, "--to", "onnx", "-o", "no/a.onnx"), "there is no folder no"),
        (("abcdefabcd", "--to", "onnx", "-o", "a.onnx"), "no checkpoint 'abcdefabcd'"),
        (("abc", "--to", "onnx", "-o", "a.onnx"), "'abc' is no key"),
        ((key, "--to", "onnx", "-o", "a.onnx", "--test-share", "nan"), "'nan' is not a number"),
        ((key, "--to", "onnx", "-o", "a.onnx", "--skip-broken", "2000000"), "is not in the range"),
        (
            (
                key,
                "--to",
                "onnx",
                "-o",
                "a.onnx",
                "--inputs",
                "random",
                "--images",
                "5",
                "--dataset",
                "digits",
            ),
            "--dataset, --images: not with --inputs random",
        ),
        ((key, "-o", "a.onnx"), "Missing option '--to'"),
    ):
        code, out, err = run("export", *arguments, "--store", store.root)
        assert (code, out) == (2, ""), err
        assert said in err
        assert "Traceback" not in err
    assert not list(tmp_path.glob("a.*"))


def test_class_names_are_stored_and_need_not_be():
    """A checkpoint keeps its class names; one of an earlier version, without any, is read as before."""
    old = made().metrics.model_dump()
    del old["class_names"]
    assert Metrics.model_validate(old).class_names is None
    assert Metrics.model_validate({**old, "class_names": ("a", "b")}).class_names == ("a", "b")
