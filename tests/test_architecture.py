"""Imports go one way, down the story; the report and the gate never see torch."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pruning_core"

# From the ground up. A room, or a file beside the rooms, may import those that stand before it.
ORDER = (
    *("__init__", "console", "errors", "process", "progress", "torchvision_compat", "user_code"),
    *("files", "stats", "records", "config", "system", "pictures"),
    *("datasets", "models", "measure", "tasks", "pruning", "training", "backends", "shapes"),
    *("store", "export", "workspace", "chain", "pipeline", "suites", "explain"),
    *("gate", "report", "api", "selftest"),
    *("paired_fixture", "pytest_plugin", "cli", "__main__"),
)
READERS = ("gate", "report")
"""They stand beside the story: they know records, files and numbers, and run without torch."""
READERS_MAY_IMPORT = {*ORDER[: ORDER.index("records") + 1], *READERS} - {
    "process",
    "torchvision_compat",
    "user_code",
}


def sources():
    """Return the text of each file of the package, by the module that it is."""
    return {module_of(path): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def module_of(path):
    """Return the dotted name of a file, without `pruning_core`; a folder's `__init__.py` is the folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[:-1] else parts)


def room_of(module):
    """Return the folder of a module, or the module itself where it lies beside the folders."""
    return module.split(".")[0]


def imports_of(source, modules):
    """Return the modules of ours that a source text imports, at any depth: also inside a function."""
    named = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            named |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    ours = {name.removeprefix("pruning_core.") for name in named if name.startswith("pruning_core.")}
    deepest = {name for name in ours if name in modules}
    # `from pruning_core.datasets import folder` names the file, and not the folder beside it.
    return {
        name
        for name in deepest
        if not any(
            isinstance(node, ast.ImportFrom)
            and node.module == f"pruning_core.{name}"
            and all(f"{name}.{alias.name}" in modules for alias in node.names)
            for node in ast.walk(ast.parse(source))
        )
    }


def graph_of(texts):
    """Return what each module imports."""
    return {module: imports_of(text, texts.keys()) - {module} for module, text in texts.items()}


def cycle_in(graph):
    """Return one cycle of a graph, or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def rooms_of(graph):
    """Return what each room imports of other rooms."""
    rooms = {}
    for module, imported in graph.items():
        rooms.setdefault(room_of(module), set()).update(room_of(name) for name in imported)
    return {room: imported - {room} for room, imported in rooms.items()}


def broken_rules(texts):
    """Return what a package, text by module, does against the rules, in words."""
    graph = graph_of(texts)
    broken = []
    for kind, edges in (("files", graph), ("folders", rooms_of(graph))):
        if (cycle := cycle_in(edges)) is not None:
            broken.append(f"a cycle of {kind}: {' → '.join(cycle)}")
    for module, imported in graph.items():
        room = room_of(module)
        if room not in ORDER:
            broken.append(f"{room} has no place in ORDER")
            continue
        allowed = READERS_MAY_IMPORT if room in READERS else set(ORDER[: ORDER.index(room)])
        broken += [
            f"{module} imports {name}, which stands above it"
            for name in sorted(imported)
            if room_of(name) not in allowed | {room}
        ]
    return broken


def test_imports_go_one_way():
    """No file imports what stands above it, and there is no cycle, of files or of folders."""
    assert broken_rules(sources()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gate.finding": "from pruning_core.gate.compare import compare"}, "a cycle of files"),
        ({"gate.finding": "def f():\n    from pruning_core.gate import compare"}, "a cycle of files"),
        ({"stats.intervals": "from pruning_core.records.fields import FIELDS"}, "a cycle of folders"),
        (
            {"training.loop": "def f():\n    from pruning_core.store import Store"},
            "loop imports store",
        ),
        ({"store.marker": "import pruning_core.pipeline"}, "store.marker imports pipeline"),
        (
            {"report.build": "from pruning_core.config.spec import TrainSpec"},
            "build imports config.spec",
        ),
        ({"gate.compare": "from pruning_core.config.grid import Grid"}, "gate.compare imports config.grid"),
        ({"pipeline": "from pruning_core.gate.compare import compare"}, "pipeline imports gate.compare"),
        ({"somewhere_new": ""}, "somewhere_new has no place"),
    ],
)
def test_the_rules_can_fail(changes, said):
    """An import against the rules is found, also inside a function."""
    assert any(said in line for line in broken_rules({**sources(), **changes}))


def test_nothing_imports_the_suites():
    """The package does not know bench/ or tests/."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] in ("bench", "tests") for name in names), path


def test_one_module_alone_imports_torchvision():
    """torchvision, and torch-pruning which imports it, come through `torchvision_compat`, schemas first."""
    found = {
        path.stem
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        if name.split(".")[0] in ("torchvision", "torch_pruning")
    }
    assert found == {"torchvision_compat"}


@pytest.mark.parametrize(
    "statement",
    [
        "import pruning_core.report.command",
        "import pruning_core.report.recommendation.command",
        "import pruning_core.gate.compare",
        "import pruning_core.cli",
        "import pruning_core.pytest_plugin",
        "import pruning_core.paired_fixture",
        "import pruning_core.api",
    ],
)
def test_starts_without_torch(statement):
    """A CI job or a laptop runs report, gate and --help without importing torch."""
    code = f"import sys\n{statement}\nassert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_of_one_name_are_collected_in_one_run():
    """Files of one name lie in several folders: pytest does not take one for the other."""
    files = ["bench/test_accuracy.py", "tests/measure/test_accuracy.py", "tests/gate/test_comparability.py"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert all(f"{file}::" in done.stdout for file in files)


CLOCKS = {"process_time", "perf_counter", "monotonic", "time", "thread_time"}


def timed_assertions(source):
    """Return the lines of assertions that read a clock, or compare what a function read from one."""
    found = []
    for function in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)):
        clocks = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and _reads_a_clock(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Assert) and (
                _reads_a_clock(node.test)
                or any(isinstance(n, ast.Name) and n.id in clocks for n in ast.walk(node.test))
            ):
                found.append(node.lineno)
    return found


def _reads_a_clock(expression):
    return any(
        isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and isinstance(n.func.value, ast.Name)
        and (n.func.value.id, n.func.attr) in {("time", clock) for clock in CLOCKS}
        for n in ast.walk(expression)
    )


def test_no_test_asserts_a_time():
    """How long something takes is for the suites: no assertion of a test reads a clock."""
    tests = sorted((PACKAGE.parent / "tests").rglob("*.py"))
    assert {path.name: lines for path in tests if (lines := timed_assertions(path.read_text()))} == {}
    assert timed_assertions("def test():\n    used = time.process_time()\n    assert used < 1")
    assert timed_assertions("def test():\n    assert time.monotonic() - start < 0.02")
