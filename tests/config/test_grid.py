"""Grid files, options over them, and the cells they name."""

import pytest

from pruning_core.config.cells import (
    accuracy_cells,
    dataset_labels,
    explain_labels,
    latency_cells,
    short_name,
    variants,
)
from pruning_core.config.chains import explain_other_chain
from pruning_core.config.grid import make_grid, read_grid
from pruning_core.config.grid_files import find_grid
from pruning_core.config.thresholds import Threshold, Thresholds
from pruning_core.console.escaping import for_terminal
from pruning_core.errors import OptionError, UnknownNameError
from tests.helpers.grid_file import write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.05:1.0:0.05", tuple(round(0.05 * i, 2) for i in range(1, 21))),
        ("0.25,0.5", (0.25, 0.5)),
        ("0.1:0.3:0.1,0.9", (0.1, 0.2, 0.3, 0.9)),
        ("0.1:0.35:0.1", (0.1, 0.2, 0.3)),
        ([0, 1], (0.0, 1.0)),
        ("0.5", (0.5,)),
    ],
)
def test_ratios(text, expected):
    """Ratios are lists, or ranges start:stop:step with the stop included, exact to the last digit."""
    assert make_grid({"ratios": text}).ratios == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"ratios": "0.5,1.5"}, r"ratios: a ratio is the fraction .* in \[0, 1\]; got 1.5"),
        ({"ratios": [-0.1]}, r"got -0.1"),
        ({"ratios": "0.5,0.25"}, "a schedule only goes up; 0.25 follows 0.5"),
        ({"ratios": "0.5,0.5"}, "a schedule only goes up"),
        ({"ratios": "half"}, "start:stop:step"),
        ({"ratios": "0:1:0"}, "a step above 0"),
        ({"ratios": "nan"}, "start:stop:step"),
        ({"ratios": "0:1:0.0001"}, "more than 1000"),
        ({"ratios": []}, "at least one ratio"),
        ({"ratios": [True]}, "ratios"),
        ({"batch_sizes": "1,x"}, "whole numbers"),
        ({"batch_sizes": [0]}, "at least 1"),
        ({"batch_sizes": [8, 8]}, "each once"),
        ({"backends": "eager:fp8"}, "no precision 'fp8' in 'eager:fp8'; allowed: fp32, bf16, fp16, int8"),
        ({"backends": "eager,,onnx"}, "no empty ones"),
        ({"model": "a,a"}, "duplicates: a"),
        ({"modle": "resnet18"}, "Did you mean 'model'"),
        (
            {"latency": {"min_rounds": 20, "max_rounds": 10}},
            "latency: max_rounds, 10, is below min_rounds, 20",
        ),
        ({"backends": "eager,eager:fp32"}, "'eager' and 'eager:fp32' are one backend"),
        ({"devices": "cpu,cuda,cuda:0"}, "'cuda' and 'cuda:0' are one device"),
        ({"ratios": [0.5, 0.50000001]}, "told apart by six digits; two are 0.5"),
        ({"latency": {"min_rounds": 2}}, "latency.min_rounds: .*greater than or equal to 5; got 2"),
        ({"train": {"epochs": 1.5}}, "train.epochs"),
    ],
)
def test_wrong_values_are_named(content, expected):
    """What cannot be is refused with the option's name, what came and what is allowed."""
    with pytest.raises(OptionError, match=expected):
        make_grid(content)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('model = "resnet18"\nbatch_size = [1]\n', 2),
        ('ratios = [0.5]\n\n[train]\n# longer\nepochs = "ten"\n', 5),
        ("ratios = [0.9, 0.5]\n", 1),
        ("[latency]\nround = 10\n", 2),
        ("[tarin]\nepochs = 1\n", 1),
        ("model = resnet18\n", 1),
        ('ratios = [0.5]\n[ratio_of]\n"layer4.*" = 2\n', 2),  # the table's: a pattern is no plain key
    ],
)
def test_errors_in_a_file_name_the_line(tmp_path, text, line):
    """A wrong key, type or syntax is found by file and line."""
    path = write(tmp_path, text)
    with pytest.raises(OptionError, match=rf"my\.toml.*line {line}\b"):
        read_grid(path)


def test_each_wrong_key_has_a_line(tmp_path):
    """Several mistakes in one file are several lines, as a terminal shows them."""
    path = write(tmp_path, "batch_sizes = [0]\nround_to = 0\n")
    with pytest.raises(OptionError) as found:
        read_grid(path)
    first, second = for_terminal(str(found.value)).splitlines()
    assert first.startswith("round_to")
    assert second.startswith("  batch_sizes")


def test_a_file_that_is_not_there(tmp_path):
    """A grid file that cannot be read is said to be so."""
    with pytest.raises(OptionError, match="cannot read grid file"):
        read_grid(tmp_path / "none.toml")


def test_options_replace_the_file(tmp_path):
    """The command line wins over the grid file, and leaves the rest of it."""
    path = write(tmp_path, 'model = "vgg16_bn"\nratios = [0.5]\nbatch_sizes = [4]\n')
    grid = read_grid(path, {"ratios": "0.25", "model": None})
    assert (grid.model, grid.ratios, grid.batch_sizes) == (("vgg16_bn",), (0.25,), (4,))


def test_grids_are_found_by_name_or_path(tmp_path):
    """`--grid` takes a path or a name in bench/grids, and knows the names there are."""
    folder = tmp_path / "bench" / "grids"
    folder.mkdir(parents=True)
    (folder / "quick.toml").write_text("")
    assert find_grid(None, tmp_path) == folder / "quick.toml"
    assert find_grid("quick", tmp_path) == folder / "quick.toml"
    assert find_grid(str(write(tmp_path, "")), tmp_path) == tmp_path / "my.toml"
    with pytest.raises(UnknownNameError, match=r"no grid 'quik'. Did you mean 'quick'"):
        find_grid("quik", tmp_path)
    with pytest.raises(UnknownNameError, match="no grid ''"):
        find_grid("", tmp_path)


def test_ids_are_unique_and_readable():
    """Every cell has an id of its own, which says what it is."""
    grid = make_grid(
        {"method": "magnitude,random", "backends": "eager,eager:bf16", "model": "resnet18,vgg16_bn"}
    )
    ids = [cell.id for cell in latency_cells(grid)]
    assert len(set(ids)) == len(ids) == 2 * 2 * 2 * (1 + 2 * 4)
    assert "vgg16_bn-digits-random-0.75-eager-bf16-cpu-b32" in ids
    assert [v.id for v in variants(make_grid({"ratios": [0, 0.5]}))] == [
        "resnet18-digits-dense",
        "resnet18-digits-magnitude-0.5",
    ]


def test_labels_hold_no_path():
    """An id never holds a slash, whatever the dataset is called."""
    assert short_name("folder:/data/cifar10/") == "folder-cifar10"
    assert short_name("my.nets:tiny") == "my.nets-tiny"
    assert short_name("digits") == "digits"


def test_latency_begins_with_its_controls():
    """Every run measures dense eager fp32 against itself first, also when other backends were asked for."""
    grid = make_grid({"backends": "onnxruntime", "ratios": [0.5]})
    ids = [cell.id for cell in latency_cells(grid)]
    assert ids[:2] == ["resnet18-digits-dense-eager-fp32-cpu-b1", "resnet18-digits-dense-eager-fp32-cpu-b32"]
    assert len(ids) == len(set(ids)) == 2 + 4


def test_accuracy_is_asked_once_for_all_batch_sizes_and_threads():
    """The accuracy suite has one cell for each variant and backend."""
    grid = make_grid({"backends": "eager,openvino", "batch_sizes": "1,8", "threads": "1,2", "ratios": "0.5"})
    assert [cell.id for cell in accuracy_cells(grid)] == [
        "resnet18-digits-dense-eager-fp32-cpu",
        "resnet18-digits-magnitude-0.5-eager-fp32-cpu",
        "resnet18-digits-dense-openvino-fp32-cpu",
        "resnet18-digits-magnitude-0.5-openvino-fp32-cpu",
    ]


def test_threads_are_an_axis():
    """Several numbers of threads give a cell and a control each, and stand in the id; one number does not."""
    one = [cell.id for cell in latency_cells(make_grid({"threads": 1, "batch_sizes": "1", "ratios": "0.5"}))]
    assert one == [
        "resnet18-digits-dense-eager-fp32-cpu-b1",
        "resnet18-digits-magnitude-0.5-eager-fp32-cpu-b1",
    ]
    both = [
        cell.id for cell in latency_cells(make_grid({"threads": "1,2", "batch_sizes": "1", "ratios": "0.5"}))
    ]
    assert both == [f"{cell}-t1" for cell in one[:1]] + [f"{one[0]}-t2", f"{one[1]}-t1", f"{one[1]}-t2"]
    assert len(set(both)) == 4


def test_layers_are_lists_tables_or_text(tmp_path):
    """A file and an option say the same of layers, in any order; the method's spec has it, sorted."""
    text = 'protect = ["layer1.*", "head"]\n[ratio_of]\n"layer4.*" = 0.8\n"layer2" = 1\n'
    from_file = read_grid(write(tmp_path, text))
    from_text = make_grid({"protect": "head, layer1.*", "ratio_of": "layer2=1, layer4.*=0.8"})
    assert from_file == from_text
    assert from_file.protect == ("head", "layer1.*")
    assert from_file.ratio_of == (("layer2", 1.0), ("layer4.*", 0.8))
    spec = from_file.method_spec("magnitude")
    assert (spec.protect, spec.ratio_of) == (from_file.protect, from_file.ratio_of)
    assert read_grid(tmp_path / "my.toml", {"protect": "fc"}).protect == ("fc",)
    assert read_grid(write(tmp_path, "protect = []\n[ratio_of]\n")) == make_grid({})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"protect": ""}, "protect: needs at least one name, and no empty ones"),
        ({"protect": ["a", "a"]}, "protect: has duplicates: a"),
        ({"protect": ["a,b"]}, "protect: no layer has a comma in its name; got 'a,b'"),
        ({"protect": [1]}, r"protect: needs a list of names of layers.*got \[1\]"),
        ({"protect": {"a": 0.5}}, "protect: needs a list of names of layers"),
        ({"protect": [f"{i:0500}" for i in range(21)]}, "protect: at most 10000 characters"),
        (
            {"ratio_of": "layer4"},
            r"ratio_of: write layer4\.\*=0\.8, several separated by commas; got 'layer4'",
        ),
        ({"ratio_of": "a=0.5,"}, "ratio_of: write"),
        ({"ratio_of": "a=0.5,a=0.6"}, "ratio_of: has duplicates: a"),
        ({"ratio_of": "=0.5"}, "ratio_of: needs at least one name, and no empty ones"),
        ({"ratio_of": {"a": 1.5}}, r"ratio_of: a ratio is the fraction .* in \[0, 1\]; got 1.5 for 'a'"),
        ({"ratio_of": {"a": "0.5"}}, "got '0.5' for 'a'"),
        ({"ratio_of": {"a": True}}, "got True for 'a'"),
        ({"ratio_of": {"a": float("nan")}}, "got nan for 'a'"),
        ({"ratio_of": {"layer4": {"0": 0.5}}}, r'a name with a dot needs quotes, as "layer4\.\*" = 0\.8'),
        ({"ratio_of": 0.5}, "ratio_of: needs a table of layers and ratios"),
        ({"ratio_of": {"a": 0.5}, "scope": "global"}, "ratio_of: a layer's own ratio needs local scope"),
    ],
)
def test_layers_that_cannot_be_meant_are_refused(content, expected):
    """What is wrong with a list of layers, or a table of their ratios, is said in one line."""
    with pytest.raises(OptionError, match=expected) as caught:
        make_grid(content)
    assert "\n" not in str(caught.value)


def test_protection_is_for_every_scope():
    """Only ratios by layer contradict a ranking over all layers."""
    assert make_grid({"protect": "a", "scope": "global"}).method_spec("lamp").protect == ("a",)


@pytest.mark.parametrize("threads", ["0,1", "-1", "1,1", "two", []])
def test_threads_that_cannot_be_are_refused(threads):
    """0 (all usable) stands alone; numbers are at least 1, each once."""
    with pytest.raises(OptionError, match="threads"):
        make_grid({"threads": threads})


def test_an_option_reaches_into_a_section(tmp_path):
    """`latency.target_error` replaces that field of the section, and no other; a wrong one is named."""
    path = write(tmp_path, "[latency]\nmin_rounds = 12\n")
    latency = read_grid(path, {"latency.target_error": 0.01, "ratios": None}).latency
    assert (latency.min_rounds, latency.target_error) == (12, 0.01)
    with pytest.raises(OptionError, match=r"latency\.target_error"):
        read_grid(path, {"latency.target_error": 2.0})


@pytest.mark.parametrize(
    ("ratios", "schedule", "said"),
    [
        ("0.75", "iterative", "0.75 follows 0.25 → 0.5"),
        ("0.5,0.9", "iterative", "0.5 follows 0.25"),
        ("0.25,0.5", "iterative", None),  # the beginning of the file's chain
        ("0.25,0.3", "iterative", None),  # a new ratio is no ratio of the file's
        ("0.75", "one-shot", None),
    ],
)
def test_ratios_that_make_another_chain_are_said(tmp_path, ratios, schedule, said):
    """Ratios of the command line that follow others than in the file are another chain: it says so."""
    path = tmp_path / "my.toml"
    path.write_text("ratios = [0.25, 0.5, 0.75, 0.9]\n")
    note = explain_other_chain(path, read_grid(path, {"ratios": ratios, "schedule": schedule}))
    assert (note is None) == (said is None)
    if note is not None:
        assert said in note
        assert note.startswith(f"note: --ratios {ratios} is a chain of its own")
        assert "pytest -k" in note


@pytest.mark.parametrize(
    ("datasets", "labels"),
    [
        (["digits", "folder:a/x"], ["digits", "folder-x"]),
        (["folder:a/x", "folder:b/x", "folder:c/x"], ["folder-x", "folder-x-2", "folder-x-3"]),
        (["folder:a/x", "folder:b/x", "folder:c/x-2"], ["folder-x", "folder-x-3", "folder-x-2"]),
        (["folder:a/x-2", "folder:b/x", "folder:c/x"], ["folder-x-2", "folder-x", "folder-x-3"]),
        (["folder:.", "folder:/"], ["folder-", "folder--2"]),
    ],
)
def test_folders_of_one_name_are_told_apart(datasets, labels):
    """No two datasets of a grid have one label; a dataset whose label is its own keeps it."""
    found = dataset_labels(datasets)
    assert [found[name] for name in datasets] == labels
    grid = make_grid({"dataset": datasets, "ratios": [0.5]})
    ids = [cell.id for walk in (accuracy_cells, latency_cells) for cell in walk(grid)]
    assert len(ids) == len(set(ids))
    assert bool(explain_labels(datasets)) == (labels != [short_name(name) for name in datasets])


def test_thresholds_follow_the_label():
    """A limit for one of two folders of one name is not that of the other."""
    first, second = (v for v in variants(make_grid({"dataset": "folder:a/x,folder:b/x"})) if v.is_dense)
    limits = Thresholds((Threshold(dataset="folder-x-2", min_accuracy=0.5),))
    assert limits.find(first, "eager", "fp32") is None
    assert limits.find(second, "eager", "fp32") == limits.entries[0]
