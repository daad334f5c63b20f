"""Targets as people write them, in a grid and as options."""

import pytest

from pruning_core.config.grid import make_grid, read_grid
from pruning_core.config.searched_grid import FoundRatio, SearchedGrid
from pruning_core.config.target_kinds import KINDS, Target, count_text
from pruning_core.errors import OptionError

ON = {"target_on": "openvino:int8"}


@pytest.mark.parametrize(
    ("key", "value", "texts"),
    [
        ("target_speedup", "2, 4x,8×", ["2x", "4x", "8x"]),
        ("target_speedup", [2, 4.5], ["2x", "4.5x"]),
        ("target_speedup", 3, ["3x"]),
        ("target_latency_ms", "2.5", ["2.5 ms"]),
        ("target_macs", "50M,4x,1.2g,3e6", ["50M MACs", "4x fewer MACs", "1.2G MACs", "3M MACs"]),
        ("target_macs", [50_000_000, "2x"], ["50M MACs", "2x fewer MACs"]),
        ("target_params", "2.5M,900k", ["2.5M parameters", "900K parameters"]),
        ("target_size_mb", [0.5, 10], ["0.5 MB", "10 MB"]),
    ],
)
def test_a_text_has_one_meaning(key, value, texts):
    """A count has its power, a factor an x; a speed-up is a factor anyway."""
    grid = make_grid({key: value, **(ON if KINDS[key].timed else {})})
    assert [target.text for target in grid.targets] == texts
    assert [target.key for target in grid.targets] == [key] * len(texts)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"target_speedup": 1, **ON}, "above 1, as 4 or 4x; got 1"),
        ({"target_speedup": "0.5x", **ON}, "got '0.5x'"),
        ({"target_speedup": "nan", **ON}, "got 'nan'"),
        ({"target_speedup": "4M", **ON}, "got '4M'"),
        ({"target_latency_ms": "4x", **ON}, "milliseconds above 0, as 2.5; got '4x'"),
        ({"target_latency_ms": 0, **ON}, "got 0"),
        ({"target_macs": -5}, "a count, as 50M, or so many times fewer, as 4x; got -5"),
        ({"target_macs": True}, "got True"),
        ({"target_macs": "1x"}, "got '1x'"),
        ({"target_params": []}, "needs at least one"),
        ({"target_params": "2M,2M"}, "each once"),
        ({"target_size_mb": "4x"}, "megabytes of weights above 0, as 10; got '4x'"),
        ({"target_speedup": 4}, "target_speedup: on which backend"),
        ({"target_speedup": 4, "target_on": "eager,openvino"}, "target_on: one backend"),
        ({"target_speedup": 4, "target_on": "eager:int7"}, "no precision 'int7'"),
        ({"target_speedup": 4, "ratios": [0.5], **ON}, "ratios and target_speedup: give one of them"),
        ({"target_macs": "4x", **ON}, "target_on: says where times are to be reached"),
        ({"target_batch_size": 4}, "target_batch_size: says where times are to be reached"),
        ({"target_speedup": 4, "target_batch_size": 0, **ON}, "target_batch_size"),
        ({"target_sped": 4}, "Did you mean 'target_speedup'"),
    ],
)
def test_what_is_no_question_is_refused_in_one_line(content, said):
    """It says what it got and what is allowed."""
    with pytest.raises(OptionError) as raised:
        make_grid(content)
    assert said in str(raised.value)


def test_options_take_the_place_of_what_the_file_says(tmp_path):
    """Targets of options replace ratios and other targets of a file, ratios replace its targets."""
    of_ratios, of_targets = tmp_path / "ratios.toml", tmp_path / "targets.toml"
    of_ratios.write_text("ratios = [0.5]\n")
    of_targets.write_text('target_speedup = [2, 4]\ntarget_on = "eager"\ntarget_batch_size = 8\n')
    grid = read_grid(of_ratios, {"target_macs": "4x", "ratios": None})
    assert [target.text for target in grid.targets] == ["4x fewer MACs"]
    grid = read_grid(of_targets, {"target_speedup": "3"})
    assert [target.text for target in grid.targets] == ["3x"]
    assert (grid.target_on, grid.target_batch_size) == ("eager", 8)
    grid = read_grid(of_targets, {"target_on": "openvino", "target_speedup": None})
    assert (len(grid.targets), grid.target_on) == (2, "openvino")
    grid = read_grid(of_targets, {"target_macs": "4x"})
    assert [target.text for target in grid.targets] == ["4x fewer MACs"]
    grid = read_grid(of_targets, {"ratios": "0.25"})
    assert (grid.targets, grid.ratios, grid.target_on) == ((), (0.25,), "")
    with pytest.raises(OptionError, match="give one of them"):
        read_grid(of_ratios, {"target_macs": "4x", "ratios": "0.5"})


def test_a_count_is_written_as_it_is_read():
    """Three digits and a power."""
    assert [count_text(n) for n in (5, 1500, 2.5e6, 3.14159e9)] == ["5", "1.5K", "2.5M", "3.142G"]


def test_found_ratios_are_those_of_their_network_and_method():
    """Each network and method has ratios of its own; what none reaches has none; dense needs none."""
    grid = make_grid({"model": "resnet18,mobilenet_v2", "target_macs": "2x,4x,900x"})
    names = (("resnet18", "digits", "magnitude"), ("mobilenet_v2", "digits", "magnitude"))
    texts = [(True, 0.3), (True, 0.5), (False, 0.9), (True, 0.4), (True, 0.0), (False, 0.95)]
    found = [
        FoundRatio(target, "", reached, ratio, 1.0, 1.0, 1.0)
        for target, (reached, ratio) in zip(grid.targets * 2, texts, strict=True)
    ]
    searched = SearchedGrid.of(grid, tuple(zip((*[names[0]] * 3, *[names[1]] * 3), found, strict=True)))
    assert searched.ratios_for(*names[0]) == (0.3, 0.5)
    assert searched.ratios_for(*names[1]) == (0.4,)
    assert searched.ratios == (0.3, 0.4, 0.5)
    assert grid.ratios_for(*names[0]) == grid.ratios


def test_what_a_target_is_about_is_measured_too():
    """The backend and the batch size of a target are cells of the grid, each once."""
    target = Target("target_speedup", 4.0)
    content = {"target_speedup": 4, "target_on": "eager:fp32", "target_batch_size": 8, "batch_sizes": "1,32"}
    found = ((("resnet18", "digits", "magnitude"), FoundRatio(target, "x", True, 0.5, 4.0, 3.9, 4.1)),)
    searched = SearchedGrid.of(make_grid(content), found)
    assert (searched.backends, searched.batch_sizes) == (("eager",), (1, 8, 32))
    searched = SearchedGrid.of(make_grid({**content, "target_on": "openvino:int8"}), found)
    assert searched.backends == ("eager", "openvino:int8")
