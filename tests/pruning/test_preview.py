"""What `plan` says below the table of one network: the proofs, and which groups were kept whole, and why."""

import csv
import io
import json
from dataclasses import replace

import pytest

from pruning_core.pruning.base import KeptWhole
from pruning_core.pruning.preview import PreviewStep
from pruning_core.pruning.step_table import render_steps

STEP = PreviewStep(
    model="resnet18",
    method="magnitude",
    ratio=0.5,
    macs=139_400_000,
    macs_products=139_000_000,
    macs_torch_pruning=139_400_000,
    params=2_797_610,
    size_bytes=11_220_000,
    achieved_ratio=0.5,
    sparsity=0.0,
    exhausted=False,
    narrowest=32,
    widest=256,
    widths={"conv1": 32},
    requested_widths={"conv1": 32},
    proof="exact",
    kept_whole=(),
    groups=12,
)
DENSE = replace(STEP, method="dense", ratio=0.0, proof="", groups=None)
SHUFFLED = KeptWhole("shuffle.conv", ("shuffle.conv", "next"), "channels are reordered")


def lines_below(*steps):
    """Return what stands below the table of these steps and the dense network."""
    lines = render_steps([DENSE, *steps], "terminal").splitlines()
    below = lines[3 + len(steps) :]
    assert all(len(line) <= 80 for line in below)
    return below


def off_by(amount):
    """Return a group whose cut gives other answers."""
    return KeptWhole("a", ("a",), f"the network answers otherwise, by {amount} of what images make")


def test_the_ordinary_case_is_one_line():
    """All is exact, nothing is kept whole: that is all that is said."""
    assert lines_below(STEP, replace(STEP, ratio=0.75)) == ["proved: exact"]


def test_nothing_is_said_where_nothing_was_cut():
    """A masked and a dense step have no proof, and no groups."""
    assert lines_below(replace(STEP, proof="", groups=None)) == []


def test_an_exhausted_step_is_named():
    """It removes nothing more, and so it has no proof."""
    assert lines_below(STEP, replace(STEP, ratio=0.75, proof="", exhausted=True)) == [
        "at 0.75 exhausted: removes nothing more",
        "at 0.5 proved: exact",
    ]


def test_what_passed_is_said_by_ratio():
    """Checks that all passed are said once."""
    first = replace(STEP, checks={"reload": True, "train": True, "onnx": True})
    assert lines_below(first, replace(first, ratio=0.75))[1:] == ["passed: reload, train, onnx"]
    second = replace(first, ratio=0.75, checks={"reload": True, "train": True, "onnx": "no such operator"})
    assert lines_below(first, second)[1:] == [
        "at 0.5 passed: reload, train, onnx",
        "at 0.75 passed: reload, train",
    ]


def test_the_widest_table_fits_80_columns():
    """A ViT-H, which torch-pruning counts otherwise, checked and exhausted."""
    step = replace(
        STEP,
        macs=167_290_000_000,
        macs_torch_pruning=162_070_000_000,
        macs_products=167_000_000_000,
        params=632_050_000,
        size_bytes=2_528_200_000,
        narrowest=1280,
        widest=5120,
        exhausted=True,
        checks={"reload": True, "train": True, "onnx": True},
    )
    text = render_steps([DENSE, step], "terminal")
    assert "162.07" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_statistics_are_said_at_their_ratios():
    """Where some ratios are exact and others are not, both are said; what all share is said once."""
    norm = replace(STEP, ratio=0.75, proof="statistics change: layer norm, softmax")
    said = "proved but for statistics over channels that change: layer norm, softmax"
    assert lines_below(norm, replace(norm, ratio=0.9)) == [said]
    first, *second = lines_below(STEP, norm)
    assert first == "at 0.5 proved: exact"
    assert " ".join(line.strip() for line in second) == f"at 0.75 {said}"


def test_groups_kept_whole_have_a_line_for_each_reason():
    """Groups of one reason are named together, five at most; the reason is folded, never cut."""
    narrow = [KeptWhole(f"b{n}", (f"b{n}",), "it keeps multiples of 8 channels, and has 8") for n in range(7)]
    step = replace(STEP, kept_whole=(SHUFFLED, *narrow), groups=41)
    assert lines_below(step) == [
        "proved: exact",
        "kept whole: 8 of 41 groups",
        "  shuffle.conv: channels are reordered",
        "  b0, b1, b2, b3, b4 and 2 more: it keeps multiples of 8 channels, and has 8",
    ]
    long = replace(step, kept_whole=(KeptWhole("x", ("x",), "because " * 20),))
    assert "".join(lines_below(long)[2:]).count("because") == 20


def test_the_same_groups_at_all_ratios_are_said_once():
    """Reasons that differ in numbers alone are one; other groups at another ratio are said with it."""
    first = replace(STEP, kept_whole=(SHUFFLED, off_by("0.25")))
    second = replace(STEP, ratio=0.75, kept_whole=(SHUFFLED, off_by("1.5e-05")))
    assert lines_below(first, second)[1:] == [
        "kept whole: 2 of 12 groups",
        "  shuffle.conv: channels are reordered",
        "  a: the network answers otherwise, by … of what images make",
    ]
    third = replace(STEP, ratio=0.9, kept_whole=(SHUFFLED,))
    assert lines_below(first, second, third)[1:] == [
        "kept whole at 0.5, 0.75: 2 of 12 groups",
        "  shuffle.conv: channels are reordered",
        "  a: the network answers otherwise, by … of what images make",
        "kept whole at 0.9: 1 of 12 groups",
        "  shuffle.conv: channels are reordered",
    ]


def test_layers_of_other_names_are_not_taken_for_the_same():
    """Names that differ in a number alone are two layers."""
    first = replace(STEP, kept_whole=(KeptWhole("layer1", ("layer1",), "why"),))
    second = replace(STEP, ratio=0.75, kept_whole=(KeptWhole("layer2", ("layer2",), "why"),))
    assert [line for line in lines_below(first, second) if line.startswith("  ")] == [
        "  layer1: why",
        "  layer2: why",
    ]


def test_a_hostile_name_or_reason_does_not_act():
    """Escape sequences in the name of a layer are shown by their number."""
    step = replace(STEP, kept_whole=(KeptWhole("a\x1b[2J", ("a",), "x\ny\x07"),))
    text = render_steps([step], "terminal")
    assert "\x1b" not in text
    assert "\\x1b[2J" in text


@pytest.mark.parametrize("kept", [(), (SHUFFLED,)])
def test_programs_get_proof_and_groups(kept):
    """CSV has the proof and how many groups; JSON has each with root, layers and reason."""
    step = replace(STEP, kept_whole=kept)
    (row,) = csv.DictReader(io.StringIO(render_steps([step], "csv")))
    assert (row["proof"], row["groups_kept_whole"], row["groups"]) == ("exact", str(len(kept)), "12")
    (found,) = json.loads(render_steps([step], "json"))
    assert found["proof"] == "exact"
    assert found["groups"] == 12
    wanted = [
        {"root": "shuffle.conv", "layers": ["shuffle.conv", "next"], "reason": "channels are reordered"}
    ]
    assert found["kept_whole"] == (wanted if kept else [])
