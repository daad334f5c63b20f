"""Which files of a user's project a module is made of, found by reading: nothing of it is run.

Followed are `import` and `from … import` anywhere in a file, relative or not, also inside functions, and
`import_module("literal")`. Python's own files, installed libraries and this program end the search: their
versions stand elsewhere.
"""

import ast
import hashlib
import importlib.util
import pkgutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path

_INSTALLED = {"site-packages", "dist-packages"}


@cache
def is_library(path: Path) -> bool:
    """Return whether a file is Python's own, an installed library's or ours: not the user's."""
    if _INSTALLED & set(path.parts):
        return True
    folders = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib")]
    if any(path.is_relative_to(folder) for folder in (*folders, Path(__file__).parents[1])):
        return True
    inwards = zip(reversed(path.parts), path.parents, strict=False)
    return any(name in _installed_into(folder) for name, folder in inwards)


@cache
def _installed_into(folder: Path) -> set[str]:
    """Return the files and packages that pip has put into a folder of another name."""
    names: set[str] = set()
    for record in folder.glob("*.dist-info/RECORD"):
        with suppress(OSError, UnicodeDecodeError), record.open(encoding="utf-8") as lines:
            names.update(line.partition(",")[0].partition("/")[0] for line in lines)
    return names


def find_spec(name: str) -> ModuleSpec | None:
    """Find a module where Python would, without importing its packages: that would run them.

    Args:
        name: Dotted, absolute.
    """
    top, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: loaded, and without a spec
        return None
    found = top
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        found = f"{found}.{part}"
        spec = _find_inside(found, list(spec.submodule_search_locations))
    return spec


def _find_inside(name: str, folders: Sequence[str]) -> ModuleSpec | None:
    """Find a module of a package; Python's own search wants its packages imported."""
    portions: list[str] = []
    for folder in folders:
        finder = pkgutil.get_importer(folder)
        spec = None if finder is None else finder.find_spec(name)
        if spec is not None and spec.loader is not None:
            return spec
        portions += (spec.submodule_search_locations or []) if spec is not None else []
    if not portions:
        return None
    package = ModuleSpec(name, None, is_package=True)  # one without `__init__.py`
    package.submodule_search_locations = portions
    return package


def file_of(spec: ModuleSpec | None, suffixes: tuple[str, ...] = (".py",)) -> Path | None:
    """Return the file that a module is loaded from; None if it has none that ends so."""
    if spec is None or not spec.has_location or not str(spec.origin).endswith(suffixes):
        return None
    return Path(str(spec.origin)).absolute()


def collect_sources(name: str) -> dict[str, tuple[Path, bytes]]:
    """Read a module, the packages it lies in, and all of the user's that these import, at any depth.

    Args:
        name: Dotted, absolute. Where it is a library's, the files of that library are read too.

    Returns:
        Module name → its file and what that holds.
    """
    top = name.partition(".")[0]
    found: dict[str, tuple[Path, bytes]] = {}
    waiting, seen = list(_with_parents(name)), set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        path = file_of(find_spec(module), (".py", ".pyc", *EXTENSION_SUFFIXES))
        if path is None or (is_library(path) and module.partition(".")[0] != top):
            continue
        try:
            source = path.read_bytes()
        except OSError:
            continue  # importing it will say so
        found[module] = (path, source)
        for imported in imported_names(source, module, path.name == "__init__.py"):
            waiting += _with_parents(imported)
    return found


def imported_names(source: bytes, module: str, is_package: bool) -> set[str]:
    """Return the absolute names that a file imports; of `from a import b` both `a` and `a.b`.

    Args:
        source: The file's content; what cannot be parsed imports nothing.
        module: Its own name, from which relative imports start.
        is_package: Whether it is an `__init__.py`.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    package = module if is_package else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute("." * node.level + (node.module or ""), package)
            if base:
                names |= {base, *(f"{base}.{alias.name}" for alias in node.names if alias.name != "*")}
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                names.add(_absolute(first.value, package))
    return names - {""}


def digest(name: str, sources: Mapping[str, bytes]) -> str:
    """Return the hash of a module's sources: of one file, that of its bytes.

    Names count and paths do not, so that two machines agree. Files that hold nothing do not count.

    Args:
        name: The module that was named.
        sources: Module name → content.
    """
    others = {module: source for module, source in sources.items() if module != name and source.strip()}
    own = hashlib.sha256(sources[name])
    if not others:
        return own.hexdigest()
    whole = hashlib.sha256(f"{name} {own.hexdigest()}\n".encode())
    for module in sorted(others):
        whole.update(f"{module} {hashlib.sha256(others[module]).hexdigest()}\n".encode())
    return whole.hexdigest()


def shadowed_names(sources: Mapping[str, tuple[Path, bytes]], folder: Path) -> Iterator[tuple[str, Path]]:
    """Walk over names that the sources import from a library while the user's folder has them too.

    Args:
        sources: What `collect_sources` gave.
        folder: The one that the user's modules lie in.

    Returns:
        Each name with the library's file.
    """
    imported: set[str] = set()
    for module, (path, source) in sources.items():
        imported |= imported_names(source, module, path.name == "__init__.py")
    for top in sorted({name.partition(".")[0] for name in imported}):
        spec = find_spec(top)
        library = Path(str(spec.origin)) if spec is not None and spec.has_location else None
        own = PathFinder.find_spec(top, [str(folder)])
        if own is not None and own.has_location and library is not None and is_library(library):
            yield top, library


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    if parts[0] not in sys.builtin_module_names:
        for length in range(1, len(parts) + 1):
            yield ".".join(parts[:length])


def _absolute(name: str, package: str) -> str:
    """Return the absolute form of a name that may begin with dots; empty where it leads nowhere."""
    try:
        return importlib.util.resolve_name(name, package or None) if name.startswith(".") else name
    except ImportError:
        return ""


def _called(node: ast.Call) -> str:
    called = node.func
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
