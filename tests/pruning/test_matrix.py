"""A matrix of previews: it goes on past what fails, says what failed, and resumes."""

import io
import json

import pytest

from pruning_core.chain.plan_worker import WORKER
from pruning_core.config.setting import Setting
from pruning_core.config.spec import MethodSpec
from pruning_core.errors import ModelError, OptionError, UnknownNameError
from pruning_core.process.child import Ended
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning import matrix
from pruning_core.pruning.matrix import make_tasks, plan_matrix
from pruning_core.pruning.matrix_file import MatrixFile
from pruning_core.pruning.preview import preview_networks
from tests.helpers.factories import write_user_model

RATIOS = (0.25, 0.5)

# Besides a network that works: one each that cannot be built, kills its process, prints, and never ends.
TROUBLE = """
import os, time, signal
from @OWN@ import tiny_model

def fails(classes, channels):
    raise RuntimeError("not\\ntoday")

def dies(classes, channels):
    os.kill(os.getpid(), signal.SIGSEGV)

def prints(classes, channels):
    print('{"ratio": 3}', flush=True)
    return tiny_model(classes, channels)

def hangs(classes, channels):
    time.sleep(600)
"""


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """Stand in a folder with a network that works, and some that do not; return their modules' names.

    They are this test's alone: what a process has imported stays imported.
    """
    own, trouble = f"own_{tmp_path.name}", f"trouble_{tmp_path.name}"
    write_user_model(tmp_path, own)
    (tmp_path / f"{trouble}.py").write_text(TROUBLE.replace("@OWN@", own))
    monkeypatch.chdir(tmp_path)
    return own, trouble


def tasks_of(*models, methods=("magnitude",), ratios=RATIOS, image=(3, 32, 32), measure=(), **settings):
    """Return the tasks of a small matrix."""
    specs = [MethodSpec(name=name, **settings) for name in methods]
    return make_tasks(models, specs, ratios, 10, image, measure=measure)


def carried_out(tasks, kept=None, max_seconds=120.0):
    """Carry tasks out; return their rows, and what was said meanwhile."""
    said = io.StringIO()
    rows = [
        row for rows in plan_matrix(tasks, WORKER, max_seconds, kept, ProgressDisplay(said)) for row in rows
    ]
    return rows, said.getvalue().splitlines()


@pytest.fixture
def counted(monkeypatch):
    """Answer for every child, in this process; return the list of what was asked."""
    asked = []

    def run(module, given, max_seconds, max_memory_bytes, meanwhile):
        task = json.loads(given)
        asked.append((task["model"], task["method"]["name"]))
        if task["model"] == "resnet50" and len(asked) < 3:
            return Ended('{"seconds": 1.0, "macs": 7}\n{"sec', "its process was killed by SIGKILL")
        rows = [json.dumps({"seconds": 1.0, "macs": round(9 * r)}) for r in task["ratios"]]
        return Ended("".join(f"{row}\n" for row in rows), "")

    monkeypatch.setattr(matrix, "run_child", run)
    return asked


@pytest.mark.slow
def test_it_goes_on_past_what_fails(networks):
    """Each failure stands in its own rows, in one line, and the others have what `plan` gives for one."""
    own, trouble = networks
    fails, dies, prints = models = [f"{trouble}:{name}" for name in ("fails", "dies", "prints")]
    rows, said = carried_out(tasks_of(*models))
    assert [(row["model"], row["ratio"]) for row in rows] == [(m, r) for m in models for r in RATIOS]
    errors = dict(zip(models, (row["error"] for row in rows[::2]), strict=True))
    assert errors[fails].endswith("cannot be built: RuntimeError: not today")
    assert errors[dies] == "its process was killed by SIGSEGV"
    assert errors[prints] == ""
    previewed = preview_networks(f"{own}:tiny_model", MethodSpec(), RATIOS, with_dense=True)
    steps = [step for step, _ in previewed]
    dense, *expected = [(step.macs, step.params) for step in steps]
    assert [(row["macs"], row["params"]) for row in rows[4:]] == expected
    assert {(row["dense_macs"], row["dense_params"]) for row in rows[4:]} == {dense}
    assert all(row["seconds"] >= 0 and "\n" not in row["error"] for row in rows)
    assert len(said) == 3
    assert f"1/3 {fails}, magnitude: failed after" in said[0]
    assert said[2].startswith(f"3/3 {prints}, magnitude: ")


@pytest.mark.slow
def test_what_does_not_end_is_ended(networks):
    """A network that hangs costs its limit of time and its own rows."""
    rows, _ = carried_out(tasks_of(f"{networks[1]}:hangs"), max_seconds=8.0)
    assert [row["error"] for row in rows] == ["not done after 8 s"] * 2


def test_networks_by_methods_by_ratios(counted):
    """Rows come network by network, method by method, with all that decides them; sizes are their own."""
    tasks = tasks_of("torchvision:vgg11*", "resnet18", methods=("magnitude", "random"), image=None)
    rows, said = carried_out(tasks)
    names = ("torchvision:vgg11", "torchvision:vgg11_bn", "resnet18")
    assert [(r["model"], r["method"], r["ratio"]) for r in rows] == [
        (name, method, ratio) for name in names for method in ("magnitude", "random") for ratio in RATIOS
    ]
    assert [row["image"] for row in rows[::4]] == [[3, 224, 224], [3, 224, 224], [3, 32, 32]]
    assert [row["built_by"].split(" ")[0] for row in rows[::4]] == ["torchvision", "torchvision", ""]
    assert rows[0].items() >= {
        "classes": 10, "schedule": "iterative", "scope": "local", "round_to": 2, "error": "", "macs": 2,
    }.items()  # fmt: skip
    assert rows[0]["pruned_by"].startswith("torch-pruning ")
    assert len(said) == 6


def test_an_unknown_name_is_told_before_anything_is_planned(counted):
    """A slip of the pen costs no hours."""
    for model, kind in (("resnet81", UnknownNameError), ("zz*", OptionError), ("no_module:f", ModelError)):
        with pytest.raises(kind):
            tasks_of("resnet18", model)
    assert counted == []


def test_the_same_command_goes_on(counted, tmp_path):
    """What is done is not planned again; what failed is; the file is complete whenever it is read."""
    path, models = tmp_path / "rows.json", ("resnet18", "resnet50", "vgg16_bn")
    first, _ = carried_out(tasks_of(*models), MatrixFile(path, tasks_of(*models)))
    assert json.loads(path.read_text()) == first
    assert [row["error"] for row in first if row["model"] == "resnet50"] == [
        "",
        "its process was killed by SIGKILL",
    ]
    counted[:] = [("before", "")] * 3
    second, said = carried_out(tasks_of(*models), MatrixFile(path, tasks_of(*models)))
    assert counted[3:] == [("resnet50", "magnitude")]
    assert [line.endswith("done before") for line in said] == [True, False, True]
    assert json.loads(path.read_text()) == second
    assert not any(row["error"] for row in second)
    more = tasks_of("mobilenet_v2", *models[:1], methods=("magnitude", "random"))
    carried_out(more, MatrixFile(path, more))
    assert counted[4:] == [("mobilenet_v2", "magnitude"), ("mobilenet_v2", "random"), ("resnet18", "random")]
    assert len(json.loads(path.read_text())) == 12  # those of resnet50 and vgg16_bn are still there


def test_it_was_stopped_in_between(counted, tmp_path, monkeypatch):
    """The rows of networks that were done before it was stopped are in the file."""
    path, tasks = tmp_path / "rows.json", tasks_of("resnet18", "vgg16_bn")
    for _ in plan_matrix(tasks, WORKER, 1.0, MatrixFile(path, tasks), ProgressDisplay(io.StringIO())):
        break
    assert {row["model"] for row in json.loads(path.read_text())} == {"resnet18"}
    assert {each.name for each in tmp_path.iterdir()} == {"rows.json", ".rows.json.lock"}


def test_two_at_once_keep_each_others_rows(counted, tmp_path):
    """What another process wrote since this one began stays, whichever is done first."""
    path, one, other = tmp_path / "rows.json", tasks_of("resnet18"), tasks_of("vgg16_bn")
    first, second = MatrixFile(path, one), MatrixFile(path, other)
    carried_out(one, first)
    carried_out(other, second)
    rows = json.loads(path.read_text())
    assert {row["model"] for row in rows} == {"resnet18", "vgg16_bn"}
    assert len(rows) == 2 * len(RATIOS)
    assert MatrixFile(path, one).find(one[0]) == [row for row in rows if row["model"] == "resnet18"]


def test_without_ratios_nothing_was_done_before(tmp_path):
    """Where a target is met by the dense network there is none, and the file is written all the same."""
    (task,) = tasks_of("resnet18", ratios=())
    kept = MatrixFile(tmp_path / "rows.json", [task])
    assert kept.find(task) is None
    kept.put(task, [])
    assert json.loads((tmp_path / "rows.json").read_text()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"round_to": 8}, "round_to 2 there, 8 here"),
        ({"scope": "global"}, "scope 'local' there, 'global' here"),
        ({"schedule": "one-shot"}, "schedule 'iterative' there, 'one-shot' here"),
        ({"protect": ("layer1*",)}, r"protect \[\] there, \['layer1\*'\] here"),
        ({"ratio_of": {"layer1*": 0.3}}, r"ratio_of {} there, {'layer1\*': 0.3} here"),
        ({"image": (1, 32, 32)}, r"image \[3, 32, 32\] there, \[1, 32, 32\] here"),
        ({"ratios": (0.5, 0.75)}, "a ratio of 0.25 there, not asked for here"),
        ({"measure": (Setting(),)}, r"measure \[\] there, \['eager:fp32, batch 1'\] here"),
    ],
)
def test_a_file_that_answers_another_question_is_left_alone(counted, tmp_path, changed, said):
    """Rows of another question are neither taken for these nor overwritten."""
    path = tmp_path / "rows.json"
    carried_out(tasks_of("resnet18"), MatrixFile(path, tasks_of("resnet18")))
    before = path.read_text()
    with pytest.raises(OptionError, match=said):
        MatrixFile(path, tasks_of("resnet18", **changed))
    assert path.read_text() == before


def test_times_of_other_settings_or_another_machine_are_left_alone(counted, tmp_path, monkeypatch):
    """Rows that were measured say where; they are no answer for another machine, nor without times."""
    path = tmp_path / "rows.json"
    measured = tasks_of("resnet18", measure=(Setting(),))
    rows, _ = carried_out(measured, MatrixFile(path, measured))
    assert rows[0]["measure"] == ["eager:fp32, batch 1"]
    assert len(rows[0]["machine_fingerprint"]) == 16
    carried_out(measured, MatrixFile(path, measured))
    assert len(counted) == 1
    for other, here in (((), r"\[\]"), ((Setting(batch_size=2),), r"\['eager:fp32, batch 2'\]")):
        with pytest.raises(OptionError, match=rf"measure \['eager:fp32, batch 1'\] there, {here} here"):
            MatrixFile(path, tasks_of("resnet18", measure=other))
    elsewhere = {"name": "another", "fingerprint": "0" * 16}
    monkeypatch.setattr(matrix, "describe_machine", lambda threads: elsewhere)
    with pytest.raises(OptionError, match=r"machine '.*' there, 'another' here"):
        MatrixFile(path, tasks_of("resnet18", measure=(Setting(),)))


def test_a_measured_task_shows_what_its_process_does(monkeypatch):
    """The progress that the process answers is shown, and is no row."""

    def run(module, given, max_seconds, max_memory_bytes, meanwhile):
        answers = ['["load",0,4]', '["time",1,10]']
        meanwhile(f"{answers[0]}\n{answers[1][:5]}")
        meanwhile("".join(f"{line}\n" for line in answers))
        row = json.dumps({"seconds": 1.0, "macs": 7})
        return Ended("".join(f"{line}\n" for line in (*answers, row, row)), "")

    monkeypatch.setattr(matrix, "run_child", run)
    rows, said = carried_out(tasks_of("resnet18", measure=(Setting(),)))
    assert [row["macs"] for row in rows] == [7, 7]
    assert [line.partition(": done")[0] for line in said[:2]] == [
        "1/1 resnet18, magnitude: load",
        "1/1 resnet18, magnitude: time",
    ]


def test_further_ratios_are_planned_with_the_first(counted, tmp_path):
    """A longer schedule is planned as a whole: a step goes on from the one before."""
    path, more = tmp_path / "rows.json", tasks_of("resnet18", ratios=(0.25, 0.5, 0.75))
    carried_out(tasks_of("resnet18"), MatrixFile(path, tasks_of("resnet18")))
    rows, _ = carried_out(more, MatrixFile(path, more))
    assert len(counted) == 2
    assert [row["ratio"] for row in json.loads(path.read_text())] == [0.25, 0.5, 0.75]
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot go on with"),
        ("[1", "cannot go on with"),
        ("[" * 100_000, "nested too deep"),
        ('[{"model": "a", "method": "b", "ratio": NaN, "error": ""}]', "NaN is not finite"),
        ('{"results": 3}', "holds no rows of a matrix; it is not overwritten"),
        ('[{"model": "resnet18"}]', "holds no rows of a matrix"),
    ],
)
def test_a_file_of_something_else_is_left_alone(tmp_path, content, said):
    """What is no matrix is not overwritten."""
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(OptionError, match=said):
        MatrixFile(path, tasks_of("resnet18"))
    assert path.read_text() == content


def test_a_file_that_cannot_be_written_is_told_first(tmp_path):
    """Where there is no folder, nothing is planned."""
    with pytest.raises(OptionError, match="there is no folder"):
        MatrixFile(tmp_path / "none" / "rows.json", tasks_of("resnet18"))
