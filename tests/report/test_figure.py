"""The figure: every method and backend told apart, labels apart, the same each time."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pruning_core.errors import OptionError
from pruning_core.report.command import write_report
from pruning_core.report.figure import _mark_of
from tests.helpers import record_factory as factory
from tests.helpers.made_up_records import speed_fields
from tests.helpers.results import published_run


def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *contents: dict[str, Any]) -> Any:
    """Draw a figure of files and return matplotlib's figure."""
    import matplotlib.pyplot as plt

    drawn: list[Any] = []
    monkeypatch.setattr(plt, "close", drawn.append)
    paths = [tmp_path / f"{number}.json" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content))
    write_report(paths, "png", tmp_path / "out.png")
    monkeypatch.undo()
    plt.close(drawn[0])
    return drawn[0]


def of_method(method: str, ratios: tuple[float, ...] = (0.5, 0.75)) -> dict[str, Any]:
    """Make a run with its pruned cells by another method."""
    content = factory.make_content(ratios=ratios)
    for entry in content["benchmarks"]:
        info = entry["extra_info"]
        if info.get("ratio"):
            info["method"] = method
            info["cell"] = info["cell"].replace("magnitude", method)
    return content


def test_a_figure_shows_every_method_of_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its points, and a line of its own in the legend; of one method two files are told apart."""
    contents = (factory.make_content(ratios=(0.5, 0.75)), of_method("lamp"), of_method("lamp"))
    sets = []
    for count in (1, 2, 3):
        figure = draw(tmp_path, monkeypatch, *contents[:count])
        left, right = figure.axes
        names = [text.get_text() for text in right.get_legend().get_texts()]
        sets.append((len(left.containers), {name for name in names if "lamp" in name or "magnitude" in name}))
    once = sets[0][0]
    assert once >= 2  # each of two backends at least
    assert sets == [
        (once, set()),
        (2 * once, {"magnitude", "lamp"}),
        (3 * once, {"magnitude", "lamp, 1.json", "lamp, 2.json"}),
    ]


def test_nine_backends_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each backend has a colour and a mark of its own; pairs are new for many more."""
    results = published_run("backends")
    figure = draw(tmp_path, monkeypatch, json.loads(results.read_text()))
    lines = [container.lines[0] for container in figure.axes[0].containers]
    assert len(lines) == 9
    assert len({line.get_color() for line in lines}) == 9
    assert len({line.get_marker() for line in lines}) == 9
    entries = figure.axes[1].get_legend().legend_handles[:9]
    assert [entry.get_color() for entry in entries] == [line.get_color() for line in lines]
    assert [entry.get_marker() for entry in entries] == [line.get_marker() for line in lines]
    looks = [_mark_of(number) for number in range(100)]
    assert len({(look["color"], look["marker"]) for look in looks}) == 100


def test_a_figure_keeps_to_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another model takes says nothing beside the first one's."""
    other = factory.make_content(ratios=(0.5, 0.75))
    for entry in other["benchmarks"]:
        entry["extra_info"]["model"] = "vgg16_bn"
    alone, both = (
        draw(tmp_path, monkeypatch, *contents)
        for contents in ((factory.make_content(),), (factory.make_content(), other))
    )
    assert len(both.axes[0].containers) == len(alone.axes[0].containers)


@pytest.mark.parametrize("spread", [1.0, 1.1, 3.0, 30.0, 400.0, 3000.0, 1e5])
def test_labels_of_a_figure_do_not_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spread: float
) -> None:
    """The logarithmic axis of latency is legible over a few percent and over decades."""
    content = factory.make_content(ratios=(0.5, 0.75))
    for number, entry in enumerate(content["benchmarks"]):
        info = entry["extra_info"]
        if "latency_ms" in info:
            latency_ms = 7.0 * spread ** (number / len(content["benchmarks"]))
            info.update(speed_fields(info["log_ratios"], latency_ms * info["speedup"], info["batch_size"]))
            info["mac_efficiency"] = info["speedup"] / info["mac_reduction"]
    figure = draw(tmp_path, monkeypatch, content)
    axis = figure.axes[0]
    figure.canvas.draw()
    labels = [*axis.get_xticklabels(), *axis.get_xticklabels(minor=True)]
    boxes = sorted(
        (box.x0, box.x1)
        for label in labels
        if label.get_text() and axis.viewLim.x0 <= label.get_position()[0] <= axis.viewLim.x1
        for box in [label.get_window_extent()]
    )
    assert boxes
    assert all(before[1] < after[0] for before, after in pairwise(boxes))


def test_a_figure_needs_a_file_and_something_timed(tmp_path: Path) -> None:
    """Bytes are not sent to a terminal, and an empty figure is an error."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(factory.make_content(suites=("cost",))))
    with pytest.raises(OptionError, match=r"--format png -o report\.png"):
        write_report([path], "png")
    with pytest.raises(OptionError, match="no latency records"):
        write_report([path], "png", tmp_path / "a.png")
