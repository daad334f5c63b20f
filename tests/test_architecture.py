"""Imports go one way, down the story; the report and the gate never see torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pruning_core"

# From the ground up: a module may import those of lower layers, and of its own.
LAYERS = (
    (
        "errors",
        "escaping",
        "garbage",
        "grid_files",
        "input_files",
        "interrupts",
        "intervals",
        "record_damage",
        "records",
        "round_intervals",
        "run_files",
        "run_json",
        "shown",
        "starter",
        "streams",
        "text_files",
    ),
    ("ending", "faults", "session_signals"),
    ("spec", "axes", "recipes", "user_project", "user_sources", "user_code"),
    ("grid", "system", "torchvision_compat", "silence", "progress", "graphed", "muon"),
    ("cells", "thresholds"),
    ("image_listing",),
    ("splits", "pixel_cache", "folder_dataset", "user_dataset", "data", "user_model", "models", "plan"),
    ("answers", "training_step", "norms"),
    ("training", "methods", "measure", "backends"),
    ("store_files", "attempts"),
    ("store_garbage", "store_marker"),
    ("store",),
    ("pipeline",),
    ("checks", "forecast", "latency_record", "preview", "resident"),
    ("batch_agreement", "benchmark_json", "timing"),
    ("training_record", "tours"),
    ("harness", "selftest", "cli_options"),
    ("cli_init", "cli_selftest", "cli_store", "pytest_options", "suite_steps"),
    ("pytest_grid", "pytest_results"),
    ("pytest_summary",),
    ("pytest_plugin", "cli", "__main__"),
)
# The report and the gate stand beside the story: they know records and errors, nothing else.
READERS = ("baseline", "report", *sorted(path.stem for path in PACKAGE.glob("gate*.py")))
READERS_MAY_IMPORT = {*LAYERS[0], *READERS} - {"interrupts"}
# Above them all: the command line runs the readers too, and a self-test asks the gate.
MAY_IMPORT_READERS = {"cli", "selftest", *READERS}
# These do not touch the store.
STORELESS = {
    "data",
    "models",
    "methods",
    "training",
    "training_step",
    "graphed",
    "muon",
    "norms",
    "splits",
    "folder_dataset",
    "user_dataset",
    "pixel_cache",
    "image_listing",
}


def imports_of(source):
    """Return the modules of ours that a source text imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "pruning_core":
                found |= {alias.name for alias in node.names}
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    parts = {
        name.removeprefix("pruning_core.").split(".")[0] for name in found if name.startswith("pruning_core.")
    }
    return (parts | {name for name in found if (PACKAGE / f"{name}.py").exists()}) - {"__version__"}


def broken_rules(module, source):
    """Return what a module imports against the rule, in words."""
    imported = imports_of(source) - {module}
    if module in READERS:
        return [f"{module} (a reader) imports {name}" for name in sorted(imported - READERS_MAY_IMPORT)]
    height = next((i for i, layer in enumerate(LAYERS) if module in layer), None)
    if height is None:
        return [f"{module} stands in no layer"]
    allowed = {name for layer in LAYERS[: height + 1] for name in layer}
    if module in MAY_IMPORT_READERS:
        allowed |= set(READERS)
    broken = [f"{module} imports {name}, which stands above it" for name in sorted(imported - allowed)]
    if module in STORELESS and "store" in imported:
        broken.append(f"{module} touches the store")
    return broken


def modules():
    """Walk over our modules: name of the module or package, path."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if path != PACKAGE / "__init__.py":
            yield pytest.param(name, path, id=str(path.relative_to(PACKAGE)))


@pytest.mark.parametrize(("module", "path"), list(modules()))
def test_imports_go_one_way(module, path):
    """No module imports one that stands above it in the story."""
    assert broken_rules(module, path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("store", "from pruning_core.pipeline import train_dense"),
        ("training", "def f():\n    from pruning_core import store"),
        ("methods", "import pruning_core.store"),
        ("report", "from pruning_core.spec import TrainSpec"),
        ("gate", "from pruning_core.grid import Grid"),
        ("pipeline", "from pruning_core.gate import compare"),
        ("somewhere_new", ""),
    ],
)
def test_the_rule_can_fail(module, source):
    """An import against the rule is found, also inside a function."""
    assert broken_rules(module, source)


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
        "import pruning_core.report",
        "import pruning_core.gate",
        "import pruning_core.cli",
        "import pruning_core.pytest_plugin",
    ],
)
def test_starts_without_torch(statement):
    """A CI job or a laptop runs report, gate and --help without importing torch."""
    code = f"import sys\n{statement}\nassert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_suite_is_named_as_a_test():
    """`bench/` and `tests/` have no file name in common: pytest would take one for the other in one run."""
    folder = PACKAGE.parent
    names = [{path.name for path in (folder / part).glob("test_*.py")} for part in ("bench", "tests")]
    assert not names[0] & names[1]


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
