"""The rows of a matrix as a table of 80 columns, as CSV and as JSON."""

import csv
import io
import json

from pruning_core.pruning.preview_table import csv_pieces, json_pieces, render_matrix


def row(model, ratio=0.5, method="magnitude", error="", **more):
    """Return a row as a matrix gives it."""
    question = {"model": model, "method": method, "ratio": ratio, "image": [3, 224, 224], "error": error}
    if error:
        return {**question, "seconds": 12.0}
    numbers = {"macs": 1_250_000_000, "dense_macs": 5_000_000_000, "params": 645_000_000, "seconds": 1234.5}
    return {**question, **numbers, **more}


LONG = "timm:vit_so150m2_patch16_reg1_gap_quickgelu_very_long_448"


def test_a_table_of_80_columns():
    """Numbers stand under their headings; names lose what all begin with, and long ones their middle."""
    lines = render_matrix(
        [row("timm:resnet18"), row(LONG, 0.25), row("timm:a", error="no\x1bway")]
    ).splitlines()
    assert max(map(len, lines[:5])) == 80
    assert lines[0].startswith("timm:  ")
    assert lines[2].split() == ["resnet18", "0.5", "1.250", "25.0%", "645.00", "1234.5"]
    assert lines[3].startswith("vit_so150m")
    assert "…" in lines[3]
    assert "long_448 " in lines[3]
    assert "failed" in lines[4]
    assert lines[-1] == "timm:a, magnitude: no\\x1bway"


def test_methods_and_libraries_are_told_apart():
    """Of several methods each row names its own; names of several libraries are whole."""
    lines = render_matrix([row("timm:a"), row("resnet18", method="unstructured-random")]).splitlines()
    assert max(map(len, lines)) == 80
    assert lines[0].startswith("model")
    assert lines[2].startswith("timm:a ")
    assert " magnitude " in lines[2]
    assert " unstr…andom " in lines[3]


def test_groups_kept_whole_are_counted():
    """How many groups were kept whole stands in each row, once a preview tells."""
    kept = [{"root": "conv", "reason": "channels are reordered"}] * 3
    text = render_matrix([row("resnet18", kept_whole=kept), row("resnet50", kept_whole=[])])
    first, second = text.splitlines()[2:4]
    assert first.split()[-2] == "3"
    assert second.split()[-2] == "0"
    assert "whole: groups of channels that were kept whole" in text
    assert "kept whole" not in render_matrix([row("resnet50", kept_whole=[])])


def test_proofs_are_summed_up():
    """How many cuts were exact, and in how many statistics change, stands below, if anything was cut."""
    rows = [row("a", proof="exact"), row("b", proof="statistics of norm change"), row("c", proof="")]
    assert render_matrix(rows).endswith("\nproofs of cuts: 1 exact; 1 in which statistics change")
    assert render_matrix(rows[:1]).endswith("\nproofs of cuts: 1 exact")
    assert "proofs" not in render_matrix(rows[2:])


def test_json_comes_in_pieces():
    """Row by row it is one list, also of none."""
    rows = [row("a"), row("b", error="no")]
    assert json.loads("".join(json_pieces(rows))) == rows
    assert json.loads("".join(json_pieces([]))) == []
    assert len(list(json_pieces(rows))) == 3


def test_csv_has_one_set_of_columns():
    """Networks of different layers have the same columns; no cell is a formula."""
    text = "".join(csv_pieces([row("a", widths={"x": 1}), row("b", error="=1+1")]))
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["model"], first["macs"], first["image"]) == ("a", "1250000000", "3x224x224")
    assert (second["macs"], second["error"]) == ("", "'=1+1")


def test_csv_says_why_groups_were_kept_whole():
    """Each group stands with its reason, each check with what it found."""
    kept = [{"root": "a", "reason": "channels are reordered"}, {"root": "b", "reason": "no end"}]
    rows = [
        row("x", kept_whole=kept, checks={"reload": True, "onnx": "no such operator"}),
        row("y", error="no"),
    ]
    first, second = csv.DictReader(io.StringIO("".join(csv_pieces(rows))))
    assert (first["groups_kept_whole"], first["kept_whole"]) == ("2", "a: channels are reordered; b: no end")
    assert (first["reload"], first["train"], first["onnx"]) == ("true", "", "no such operator")
    assert (second["groups_kept_whole"], second["kept_whole"], second["reload"]) == ("", "", "")


def test_checks_are_summed_up():
    """How many networks pass each check stands below, and why one cannot be exported."""
    rows = [row("x", checks={"reload": True, "onnx": True}), row("y", checks={"reload": True, "onnx": "no"})]
    *_, counts, why = render_matrix(rows).splitlines()
    assert counts == "checks that 2 pruned networks pass: reload 2, onnx 1"
    assert why == "y, magnitude: onnx: no"
