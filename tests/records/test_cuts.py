"""What is known of a cut in words, and as a record holds it."""

import pytest

from pruning_core.errors import RecordError
from pruning_core.records import run
from pruning_core.records.cuts import (
    MAX_RECORDED,
    alike,
    count_words,
    describe_proof,
    explain_whole,
    explain_whole_in_line,
    ratio_words,
    recorded,
    whole_alike,
)
from pruning_core.records.fields import FIELD_BY_NAME
from pruning_core.records.record import make_record
from pruning_core.records.values import value_problem
from tests.helpers import record_factory as factory

REORDERED = "channels are reordered"


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        ("", ""),
        ("exact", "proved: exact"),
        (
            "statistics change: layer norm, softmax",
            "proved but for statistics over channels that change: layer norm, softmax",
        ),
    ],
)
def test_a_proof_is_one_sentence(proof, said):
    """Exact, or what changes; nothing where nothing was cut."""
    assert describe_proof(proof) == said


@pytest.mark.parametrize(
    ("number", "groups", "said"),
    [(3, 41, "3 of 41 groups"), (1, 1, "1 of 1 group"), (1, None, "1 group"), (2, None, "2 groups")],
)
def test_groups_are_counted_in_words(number, groups, said):
    """How many of how many, where that is known."""
    assert count_words(number, groups) == said


def test_groups_of_one_reason_are_named_together():
    """Five are named, the others are counted."""
    whole = {**{f"conv{n}": REORDERED for n in range(6)}, "head": "protected by 'head'"}
    assert explain_whole(whole) == [
        "conv0, conv1, conv2, conv3, conv4 and 1 more: channels are reordered",
        "head: protected by 'head'",
    ]


def test_a_line_gives_five_reasons_and_counts_the_others():
    """So does it count the groups that a record does not name."""
    whole = {name: f"reason {name}" for name in "abcdefg"}
    line = explain_whole_in_line(whole, 50)
    assert line == "; ".join(f"{n}: reason {n}" for n in "abcde") + "; and 2 more reasons; and 43 more groups"
    assert explain_whole_in_line({"a": REORDERED}, 1) == f"a: {REORDERED}"


def test_what_a_record_holds_is_bounded():
    """Of many groups with long names and reasons a record holds some, short, in one line each."""
    whole = {f"{'layer.' * 200}{n}": "line\nend " * 500 for n in range(1000)} | {"late": "x"}
    assert len(recorded({f"layer{n}": "x" for n in range(1000)})) == MAX_RECORDED
    kept = recorded(whole)
    assert 0 < len(kept) <= MAX_RECORDED
    assert "\n" not in "".join(kept.values())
    make_record(kept_whole=kept, proof="exact", groups_kept_whole=1001, groups=2000)


def test_a_proof_with_all_statistics_is_a_record():
    """All statistics that a proof can name fit into the field."""
    from pruning_core.pruning.channel_statistics import _STATISTICS

    names = sorted({name for name, _ in _STATISTICS.values()})
    proof = f"statistics change: {', '.join(names)}"
    assert len(names) > 5
    assert make_record(proof=proof)["proof"] == proof


@pytest.mark.parametrize(
    "value", [{"a": 1}, {"a": None}, {"a": "x" * 501}, {"x" * 201: "a"}, ["a"], "a: reordered", 3]
)
def test_other_things_are_no_groups_kept_whole(value):
    """A number, a list or an endless text in place of a reason is refused."""
    assert value_problem(FIELD_BY_NAME["kept_whole"], value)
    with pytest.raises(TypeError, match="kept_whole"):
        make_record(kept_whole=value)


def test_ratios_that_say_the_same_stand_together():
    """A text is said once, with its ratios; nothing is said of empty ones."""
    assert alike([(0.25, "x"), (0.5, ""), (0.75, "y"), (0.9, "x")]) == [([0.25, 0.9], "x"), ([0.75], "y")]
    assert ratio_words([0.25, 0.9, 1.0]) == "0.25, 0.9, 1"


def test_reasons_that_differ_in_numbers_alone_are_one():
    """The number gives way where it differs, and stays where it is the same; names are never merged."""
    first = {"a": "off by 0.25", "b": "has 8"}
    second = {"a": "off by 3e-05", "b": "has 8"}
    assert whole_alike([(0.5, first), (0.75, second), (0.9, {})]) == [
        ([0.5, 0.75], {"a": "off by …", "b": "has 8"})
    ]
    assert len(whole_alike([(0.5, {"layer1": "x"}), (0.75, {"layer2": "x"})])) == 2


def test_groups_kept_whole_are_read_printable_and_bounded(tmp_path, monkeypatch):
    """What a file says of them is made harmless, and counts among the values of layers in it."""
    content = factory.make_content(ratios=(0.5,), suites=("cost",))
    (dense, pruned) = factory.records_of(content, "cost")
    pruned.update(kept_whole={f"a{n}\x1b": "b\x07" for n in range(9)}, groups_kept_whole=9, proof="exact")
    for record in (dense, pruned):
        del record["widths"], record["dense_widths"]
    path = factory.write(content, tmp_path / "run.json")
    (read,) = [record for record in run.read_run(path).records if record["ratio"]]
    assert read["kept_whole"]["a0\ufffd"] == "b\ufffd"
    monkeypatch.setattr(run, "MAX_LAYERS_IN_FILE", 8)
    with pytest.raises(RecordError, match="more than can be read"):
        run.read_run(path)
