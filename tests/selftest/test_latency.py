"""The self-test: trials with a known truth, their count, table, JSON and figure."""

import subprocess
import sys

import pytest

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.errors import OptionError
from pruning_core.selftest import latency_command, latency_summary, latency_trials
from pruning_core.selftest.latency_figure import check_figure_file, draw_groups
from pruning_core.selftest.latency_summary import group_trials, read_summary, render_groups, write_summary
from pruning_core.selftest.latency_trials import Trial, TrialConfig, plan_trials, run_trials, with_extra_work
from tests.helpers.results import published_run
from tests.helpers.timed_machine import Machine

QUICK = LatencyOptions(min_rounds=6, max_rounds=6, warmup_ms=0, sample_ms=0.2)


def trial(low=0.99, high=1.01, sequential=1.0, injected=0.0, tolerance=0.05, condition="quiet"):
    """A trial that found this interval."""
    config = TrialConfig(0.9, 1, injected, tolerance, 0.02, condition)
    return Trial(config, (low + high) / 2, low, high, 10, 2.0, sequential, 1.0, 0.0)


def test_injected_work_takes_what_was_injected():
    """The copy gives what the original gives, and takes 1 + slowdown times as long."""
    machine = Machine(tick_s=1e-6)
    call = machine.model("A", 0.01)
    slowed = with_extra_work(lambda: call() or "logits", 0.10, clock=machine.clock)
    start = machine.now
    assert slowed() == "logits"
    assert machine.now - start == pytest.approx(0.011, rel=0.002)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.051, 1.2, "slower"),
        (1.049, 1.2, "same"),
        (0.8, 0.952, "faster"),
        (0.8, 0.953, "same"),
        (0.9, 1.1, "same"),
    ],
)
def test_a_verdict_needs_the_whole_interval_beyond_the_tolerance(low, high, verdict):
    """An interval that reaches into the tolerance is no finding."""
    assert trial(low, high).verdict == verdict


def test_the_sequential_mean_has_no_interval():
    """Its one number decides."""
    assert trial(sequential=1.06).sequential_verdict == "slower"
    assert trial(sequential=1.04).sequential_verdict == "same"


def test_the_plan_has_every_size_in_every_condition():
    """A/A in both conditions and two slow-downs, each with all sizes equally often; quiet ones first."""
    configs = plan_trials(4, 8, ("quiet", "contended"))
    counts = {}
    for s in configs:
        counts.setdefault((s.condition, s.injected_slowdown, s.tolerance), []).append((s.ratio, s.batch_size))
    assert {kind: len(sizes) for kind, sizes in counts.items()} == {
        ("quiet", 0.0, 0.05): 4,
        ("quiet", 0.10, 0.05): 8,
        ("quiet", 0.05, 0.02): 8,
        ("contended", 0.0, 0.05): 4,
    }
    assert all(len(set(sizes)) == 4 for sizes in counts.values())
    conditions = [s.condition for s in configs]
    assert conditions == sorted(conditions, reverse=True)  # the competitor is started once
    assert {s.injected_slowdown for s in plan_trials(4, 8, ("contended",))} == {0.0}


def test_a_trial_is_measured_both_ways_beside_its_competitor(monkeypatch):
    """Real copies of a small network are timed; the competing process runs meanwhile and ends with it."""
    started = []
    popen = subprocess.Popen

    def noting(*arguments, **named):
        started.append(popen(*arguments, **named))
        return started[-1]

    monkeypatch.setattr(latency_trials.subprocess, "Popen", noting)
    monkeypatch.setattr(latency_trials, "SEQUENTIAL_CALLS", 3)
    configs = [
        TrialConfig(0.9, 1, 0.0, 0.05, 0.03, "quiet"),
        *[TrialConfig(0.9, 1, 0.1, 0.05, 0.03, "contended")] * 2,
    ]
    done = []
    for result in run_trials(configs, QUICK, threads=1):
        assert len(started) == (result.config.condition == "contended")
        assert all(process.poll() is None for process in started)
        done.append(result)
    assert [result.config for result in done] == configs
    assert all(r.slowdown_low <= r.slowdown <= r.slowdown_high and r.rounds == 6 for r in done)
    assert all(r.sequential_slowdown > 0 for r in done)
    assert started[0].wait(5) != 0  # killed


def test_rates_count_what_matters():
    """Where nothing was injected any finding is false; where work was injected only `slower` counts."""
    aa = [trial(1.06, 1.2), trial(0.8, 0.9), trial(), trial(sequential=1.2)]
    slowed = [trial(1.06, 1.2, injected=0.1), trial(0.8, 0.9, injected=0.1)]
    first, second = group_trials([*aa, *slowed])
    assert first.rate(lambda t: t.verdict).count == 2
    assert first.rate(lambda t: t.sequential_verdict).count == 1
    assert second.rate(lambda t: t.verdict).count == 1
    assert (first.title, second.title) == ("A/A, quiet", "+10% injected, quiet")
    table = render_groups([first, second])
    assert "50.0% [15.0, 85.0]" in table
    assert len(table.splitlines()) == 4


def test_trials_come_back_from_their_file(tmp_path):
    """Every trial and the machine are in the JSON, and can be read again."""
    some = [trial(), trial(1.06, 1.2, injected=0.1, condition="contended")]
    write_summary(tmp_path / "s.json", some, LatencyOptions(), {"name": "box", "torch": "2.13"})
    assert read_summary(tmp_path / "s.json") == (some, {"name": "box", "torch": "2.13"})


def test_a_file_of_earlier_names_is_read_under_todays(tmp_path):
    """What earlier versions called a field or a condition comes back under its name of today."""
    some = [trial(), trial(1.06, 1.2, injected=0.1), trial(condition="contended")]
    write_summary(tmp_path / "s.json", some, LatencyOptions(), {})
    text = (tmp_path / "s.json").read_text()
    for old, name in {**latency_summary.OLD_NAMES, **latency_summary.OLD_VALUES}.items():
        text = text.replace(f'"{name}"', f'"{old}"')
    assert '"busy"' in text
    assert '"contended"' not in text
    assert '"extra"' in text
    (tmp_path / "old.json").write_text(text)
    assert read_summary(tmp_path / "old.json")[0] == some


def test_the_published_file_is_read():
    """The trials in `results/`, of an earlier version, are all there, in both conditions."""
    groups = group_trials(read_summary(published_run("selftest-latency"))[0])
    assert [(g.title, len(g.trials), g.rate(lambda t: t.verdict).count) for g in groups] == [
        ("A/A, quiet", 100, 0),
        ("+10% injected, quiet", 200, 198),
        ("+5% injected, quiet", 200, 182),
        ("A/A, contended", 100, 0),
    ]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"what": "pruning-bench selftest latency", "trials": [1]}']
)
def test_a_file_that_is_none_of_ours_is_one_line(tmp_path, text):
    """Damaged or foreign JSON is refused by name."""
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(OptionError, match=r"s\.json") as caught:
        read_summary(tmp_path / "s.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_figure_is_drawn_the_same_each_time(tmp_path, suffix):
    """Both methods are drawn, with their counts; drawing twice gives the same file."""
    groups = group_trials([trial(), trial(1.06, 1.2, sequential=1.3), trial(injected=0.1)])
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    for path in (one, two):
        draw_groups(groups, path, "a machine")
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size > 1000


def test_a_figure_that_cannot_be_drawn_is_found_out_before_the_trials(monkeypatch, tmp_path):
    """A wrong suffix, a missing matplotlib and a missing folder each end the command at once."""
    monkeypatch.setattr(latency_command, "run_trials", None)  # calling it would fail
    with pytest.raises(OptionError, match=r"no figure format '\.gif'; allowed: \.svg, \.png, \.pdf"):
        latency_command.run_selftest(1, 1, ("quiet",), 1, None, tmp_path / "a.gif")
    with pytest.raises(OptionError, match="no folder"):
        latency_command.run_selftest(1, 1, ("quiet",), 1, tmp_path / "none" / "a.json", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match=r"pip install 'pruning-bench\[figures\]'"):
        check_figure_file(tmp_path / "a.svg")


def test_an_interrupted_selftest_keeps_its_trials(monkeypatch, tmp_path):
    """What was measured before an interruption is written."""

    def two_then_stop(configs, options, threads):
        yield trial()
        yield trial()
        raise KeyboardInterrupt

    monkeypatch.setattr(latency_command, "run_trials", two_then_stop)
    with pytest.raises(KeyboardInterrupt):
        latency_command.run_selftest(5, 0, ("quiet",), 1, tmp_path / "s.json", None)
    assert len(read_summary(tmp_path / "s.json")[0]) == 2


def test_a_file_of_trials_is_counted_again_without_any(monkeypatch, tmp_path):
    """`--from-json` draws and counts what was measured before."""
    monkeypatch.setattr(latency_command, "run_trials", None)
    write_summary(
        tmp_path / "s.json",
        [trial(), trial()],
        LatencyOptions(),
        {"name": "box", "torch": "2.13", "threads": 2},
    )
    table = latency_command.show_selftest(tmp_path / "s.json", tmp_path / "s.svg")
    assert "A/A, quiet" in table
    assert (tmp_path / "s.svg").stat().st_size > 1000
