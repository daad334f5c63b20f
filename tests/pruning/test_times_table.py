"""Measured times as tables of 80 columns and as columns of CSV."""

from dataclasses import asdict, replace

from pruning_core.config.setting import Setting
from pruning_core.pruning.preview_times import StepTime
from pruning_core.pruning.times_table import render_times, time_columns, time_values

TIME = StepTime(
    *("openvino", "int8", 32, "cpu", 0),
    latency_ms=0.5,
    reference_ms=7.25,
    speedup=14.5,
    low=14.2,
    high=14.9,
    mac_reduction=16.0,
    mac_efficiency=14.5 / 16,
    rounds=10,
    control_speedup=1.01,
    control_low=0.99,
    control_high=1.03,
)
EAGER = replace(TIME, backend="eager", precision="fp32", batch_size=1)


def row(*times, ratio=0.75, model="resnet18", method="magnitude", exhausted=False):
    """Return a row with times, as JSON has it."""
    found = {"model": model, "method": method, "ratio": ratio, "exhausted": exhausted}
    return {**found, "times": [asdict(time) for time in times]}


def lines_of(*rows):
    """Return the lines, none of more than 80 columns."""
    lines = render_times(rows).splitlines()
    assert all(len(line) <= 80 for line in lines)
    return lines


def test_each_setting_has_a_table():
    """Ratio, MACs saved, time saved with its interval, their quotient, and the time itself."""
    lines = lines_of(row(EAGER, TIME), row(EAGER, replace(TIME, speedup=123.4, low=101.5, high=135.0)))
    assert [line for line in lines if ": dense " in line] == [
        "eager:fp32, batch 1: dense 7.25 ms",
        "openvino:int8, batch 32: dense 7.25 ms",
    ]
    assert lines[1].split() == ["ratio", "MACs", "saved", "time", "saved", "quotient", "ms"]
    assert lines[2].split() == ["0.75", "16.0×", "14.5×", "[14.2,", "14.9]", "0.91", "0.500"]
    assert lines[-1].startswith("quotient: time saved ÷ MACs saved")
    assert len(lines) == 11


def test_nothing_was_timed():
    """Rows of a plan without times make no table."""
    assert lines_of(row(), {"model": "a", "method": "b", "ratio": 0.5, "error": "no"}) == []


def test_networks_and_methods_are_told_apart():
    """Of several each table says whose it is."""
    lines = lines_of(row(TIME), row(TIME, method="random"), row(TIME, model="my\x1bnets:" + 9 * "long"))
    assert lines[0] == "resnet18, magnitude on openvino:int8, batch 32: dense 7.25 ms"
    assert lines[4].startswith("resnet18, random on ")
    assert lines[8].startswith("my\\x1bnets:longlong")


def test_what_was_not_timed_says_why():
    """A network that a backend cannot run, a backend that cannot run the reference, an exhausted step."""
    failed = StepTime(*("openvino", "int8", 32, "cpu", 0), error="no such operator " * 6)
    lines = lines_of(row(TIME, ratio=0.5), row(failed, ratio=0.9), row(ratio=1.0, exhausted=True))
    assert lines[3].split() == ["0.9", "not", "timed"]
    assert lines[4].strip() == "1  exhausted: removes nothing more"
    assert lines[5].startswith("  not timed at 0.9: no such operator")
    lines = lines_of(row(failed, ratio=0.5), row(failed, ratio=0.9))
    assert lines[:2] == ["openvino:int8, batch 32", f"  not timed: {'no such operator ' * 3}no such operator"]


def test_what_contaminates_is_one_line_each():
    """Other processes and contradicting controls are named once, with how many more there are."""
    busy = replace(EAGER, contention="other processes used 40 % of the cores")
    off = replace(busy, control_speedup=1.2, control_low=1.1, control_high=1.3)
    lines = lines_of(row(busy, TIME), row(busy, TIME))
    assert lines[-2] == "contaminated: other processes used 40 % of the cores"
    assert lines[-1].endswith("measure again on an idle machine")
    lines = lines_of(row(off, replace(off, batch_size=4), TIME), row(off, TIME))
    assert "contaminated: A/A control of eager:fp32, batch 1: 1.20 [1.10, 1.30]; and 1 more" in lines
    assert not any("contaminated" in line for line in lines_of(row(TIME)))


def test_columns_of_csv():
    """Each setting has its columns, empty where it was not timed."""
    settings = (Setting(), Setting("openvino", "int8", 32))
    heads = time_columns(settings)
    values = dict(zip(heads, time_values([asdict(TIME)], settings), strict=True))
    assert values["speedup:openvino:int8, batch 32"] == 14.5
    assert values["speedup:eager:fp32, batch 1"] in ("", None)
    assert "low:eager:fp32, batch 1" in values
