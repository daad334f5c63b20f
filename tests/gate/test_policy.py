"""The gate's policy file: what it may say, and errors that name key and line."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from pruning_core.errors import OptionError
from pruning_core.gate import policy
from pruning_core.gate.policy import AlphaWeights, Policy, Tolerances, read_policy
from tests.helpers.gate_changes import judge, small_run


def test_policy_file_is_read(tmp_path: Path) -> None:
    """Keys of the head hold for all cells, a later pattern wins over an earlier one."""
    path = tmp_path / "policy.toml"
    path.write_text(
        'slowdown = 0.2\ninconclusive = "report"\nfamilywise_error = 0.01\n'
        '[[cells]]\nmatch = "latency/*"\nslowdown = 0.3\n'
        '[[cells]]\nmatch = "*-b1"\nslowdown = 0.4\nmax_accuracy_drop = 0.5\n'
    )
    found = read_policy(path)
    assert found.tolerances_of("cost", "x") == Tolerances(slowdown=0.2, inconclusive="report")
    assert found.tolerances_of("latency", "x").slowdown == 0.3
    assert found.tolerances_of("latency", "x-b1") == Tolerances(
        slowdown=0.4, max_accuracy_drop=0.5, inconclusive="report"
    )
    assert found.familywise_error == 0.01
    path.write_text('[[cells]]\nmatch = "x-*"\nslowdown = 0.4\n')
    assert read_policy(path).tolerances_of("latency", "x-b1").slowdown == 0.4
    assert read_policy(path).tolerances_of("latency", "y-x-b1").slowdown == 0.05


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("slowdwon = 0.1", r"no key 'slowdwon' here in a policy. Did you mean 'slowdown'\?[\s\S]*line 1"),
        ("\nslowdown = -1", r"slowdown must be a number in \[0, 10\]; got -1 .*line 2"),
        ("slowdown = true", "slowdown must be a number"),
        ("slowdown = nan", "slowdown must be a number"),
        ('slowdown = "5 %"', "got '5 %'"),
        ('inconclusive = "maybe"', "one of stop, fail, report, pass; got 'maybe'"),
        ('[[cells]]\nmatch = "*"\nfamilywise_error = 0.1', r"no key 'familywise_error' here[\s\S]*line 3"),
        ("slowdown = 0.1\n[[cells]]\nslowdown = 0.1", r"entry 1 needs match.*line 2"),
        ("[cells]\na = 1", "must be written as"),
        ("cells = [1]", "must be written as"),
        ("cells = 3", "must be written as"),
        ('[[cells]]\nmatch = ""', "entry 1 needs match"),
        ("[[cells]]\nmatch = 3", "entry 1 needs match"),
        ("slowdown = 10.5", r"in \[0, 10\]; got 10.5"),
        ("max_accuracy_drop = 2", r"in \[0, 1\]; got 2"),
        ('on_other_machine = "maybe"', "one of cannot-compare, skip; got 'maybe'"),
        ("zzz = 1", r"no key 'zzz' here in a policy\.\n  known: slowdown, .*cells"),
        ("slowdown = 1\nslowdown = x\n", "not valid TOML.*line 2"),
        ("accuracy_drop = 0.1", "Did you mean 'max_accuracy_drop'"),
        ("run_to_run_sd = 0", r"run_to_run_sd must be a number in \[0.001, 1\]; got 0 .*line 1"),
        ("power = 1", r"power must be a number in \[0.5, 0.99\]; got 1 "),
        ("min_cells = 6.5", r"min_cells must be a whole number in \[2, 400\]; got 6.5 "),
        ("min_cells = 1", r"whole number in \[2, 400\]; got 1 "),
        ("min_cells = true", "whole number in .*got True"),
        ("fork_join_same_within = 0.9", r"number in \[1, 100\]; got 0.9"),
        ("alpha_weights = 3", r"alpha_weights must be a table such as \{ speed = 1 \}; got 3 .*line 1"),
        ("alpha_weights = {speed = 0}", r"speed must be a number in \[0.001, 1000\]; got 0 .*line 1"),
        ("[alpha_weights]\naccuracy = 1\nsped = 1", r"no key 'sped' .*Did you mean 'speed'\?[\s\S]*line 3"),
        ('[[cells]]\nmatch = "*"\nmin_cells = 3', r"no key 'min_cells' here[\s\S]*line 3"),
    ],
)
def test_policy_errors_name_key_and_line(tmp_path: Path, text: str, words: str) -> None:
    """What cannot be in a policy file is refused in one line that names the key and where it stands."""
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match=words):
        read_policy(path)
    with pytest.raises(OptionError, match="cannot read policy"):
        read_policy(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("inconclusive", word) for word in ("stop", "fail", "report", "pass")),
        *(("on_other_machine", word) for word in ("cannot-compare", "skip")),
        *(("slowdown", number) for number in (0, 10, 0.5)),
        *(("control_tolerance", number) for number in (0.0, 1)),
        ("min_accuracy", 1.0),
        ("dense_slowdown", 0.3),
        ("confidence", 0.9),
        *(("min_cells", number) for number in (2, 400)),
        *(("power", number) for number in (0.5, 0.99)),
        *(("run_to_run_sd", number) for number in (0.001, 1)),
        *(("fork_join_same_within", number) for number in (1, 100)),
    ],
)
def test_every_word_and_both_ends_are_allowed(tmp_path: Path, key: str, value: object) -> None:
    """Each word of a list and each end of a range is taken as it stands."""
    path = tmp_path / "policy.toml"
    path.write_text(f"{key} = {json.dumps(value)}")
    found = read_policy(path)
    assert getattr(found if hasattr(found, key) else found.tolerances, key) == value


def test_alpha_weights_may_be_set_one_by_one(tmp_path: Path) -> None:
    """A weight that is left out keeps its default."""
    path = tmp_path / "policy.toml"
    path.write_text("alpha_weights = { backend = 1, roofline = 0.5 }\n")
    weights = read_policy(path).alpha_weights
    assert weights == AlphaWeights(backend=1, roofline=0.5)
    assert weights.by_family == {"accuracy": 4, "speed": 1, "backend": 1, "roofline": 0.5}


def test_the_documented_file_is_the_default_policy(tmp_path: Path) -> None:
    """What the module's docstring shows as the values that hold anyway is a file, and changes nothing."""
    text = str(policy.__doc__)
    path = tmp_path / "policy.toml"
    path.write_text(text[text.index("    slowdown = ") : text.index("    [[cells]]")])
    assert read_policy(path) == Policy()
    path.write_text(text[text.index("    slowdown = ") : text.index("Where the defaults")])
    assert read_policy(path).overrides == (("latency/*-int8-*", {"slowdown": 0.1}),)


def test_the_readme_names_every_key_and_its_example_is_a_policy(tmp_path: Path) -> None:
    """The table of keys in the room's README is complete, and its example can be read."""
    readme = (Path(policy.__file__).parent / "README.md").read_text()
    keys = [item.name for kind in (Tolerances, Policy) for item in fields(kind)]
    assert [k for k in keys if f"`{k}`" not in readme] == ["tolerances", "overrides"]
    path = tmp_path / "gate.toml"
    path.write_text(readme.split("```toml\n")[1].split("```")[0])
    ((_, values),) = read_policy(path).overrides
    assert values == {"slowdown": 0.15}


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A policy that is no UTF-8 gives one line."""
    path = tmp_path / "policy.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match="cannot read policy"):
        read_policy(path)


def test_pattern_without_cells_is_said(tmp_path: Path) -> None:
    """A pattern of the policy that matches no cell is named: it may be misspelt."""
    result = judge(tmp_path, small_run(), small_run(), Policy(overrides=(("latncy/*", {"slowdown": 1.0}),)))
    assert "the policy's pattern 'latncy/*' matches no cell" in result.notes
    for pattern in ("latency/*", "resnet18-*-b32"):
        result = judge(tmp_path, small_run(), small_run(), Policy(overrides=((pattern, {"slowdown": 1.0}),)))
        assert not [note for note in result.notes if "matches no cell" in note]
