"""A user's own `module:function`: how it is found, imported and hashed.

Looked for in the current folder, the project's root, its `src/` and pytest's `pythonpath`; then wherever
Python looks. The user's folder goes to the end of Python's path: a file called as a library is never run in
its place. Each file of the user's runs from the very bytes that were hashed.
"""

import functools
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pruning_core.errors import PruningBenchError
from pruning_core.user_code.project import searched_folders
from pruning_core.user_code.sources import (
    collect_sources,
    digest,
    file_of,
    find_spec,
    is_library,
    shadowed_names,
)

Refuse = Callable[[str], PruningBenchError]
"""Makes the error of a text: "model my_nets:build: …"."""


@dataclass
class UserModule:
    """A module of the user's, imported, and what it is made of."""

    name: str
    module: ModuleType
    folder: Path  # where names that it imports lie
    sources: dict[str, tuple[Path, bytes]]  # module name → file and content, as they were imported
    known: dict[Any, str] = field(default_factory=dict)  # what was found out about its functions, once

    @property
    def source_sha256(self) -> str:
        """Hash of its file and of every file of the user's that it imports."""
        return digest(self.name, {name: source for name, (_, source) in self.sources.items()})

    @contextmanager
    def running(self) -> Iterator[None]:
        """Note which files of the user's are imported while its code runs."""
        _FINDER.notes, before = self.sources, _FINDER.notes
        try:
            yield
        finally:
            _FINDER.notes = before

    def explain(self, error: BaseException) -> str:
        """Return in one line what the module's code raised, and whether it hides a library's module."""
        return one_line(error) + _shadow_note(error, self.sources, self.folder)


def find_function(name: str, refuse: Refuse) -> tuple[Callable[..., Any], UserModule]:
    """Import a module, once, and return a function of it.

    Args:
        name: `module:function`; a partial, a class or another callable will do. Of one that remembers its
            results (`functools.cache`) the function inside is returned.
        refuse: Makes the error.

    Raises:
        PruningBenchError: Made by `refuse`, in one line: if module or function is not there, or the module
            raises, or nothing can be hashed of it.
    """
    module_name, _, function_name = name.partition(":")
    user_module = find_module(module_name, refuse)
    try:
        with user_module.running():
            function = getattr(user_module.module, function_name, None)
    except BaseException as error:
        raise_if_not_theirs(error)
        raise refuse(f"{module_name}.{function_name}: {user_module.explain(error)}") from error
    if not callable(function):
        found = vars(user_module.module).items()
        known = ", ".join(n for n, v in found if callable(v) and _is_own(v, module_name)) or "none"
        raise refuse(f"{module_name} has no function {function_name!r}; it has: {known}")
    if isinstance(function, functools._lru_cache_wrapper):
        function = function.__wrapped__
    return function, user_module


def find_module(name: str, refuse: Refuse) -> UserModule:
    """Import a module, once; arguments and errors are those of `find_function`."""
    loaded = sys.modules.get(name)
    user_module = _MODULES.get(loaded) if loaded is not None else None
    if user_module is None:
        user_module = _import(name, refuse)
        _MODULES[user_module.module] = user_module
    return user_module


def raise_if_not_theirs(error: BaseException) -> None:
    """Raise on what a user's code did not raise itself: the user's Ctrl-C, and signals of ours."""
    ours = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
    if isinstance(error, KeyboardInterrupt) or (ours and not isinstance(error, Exception)):
        raise error


def one_line(error: BaseException) -> str:
    """Return in one line what was raised: its type, and what it says."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, SystemExit):
        return f"it ends the program, by sys.exit({text})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_own(value: object, module_name: str) -> bool:
    return not isinstance(value, type) or value.__module__ == module_name


class _Loader(SourceFileLoader):
    """Loads a module from the bytes that were hashed, never from a `.pyc` that may be of others."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path))
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._source, self.path)


class _Finder(MetaPathFinder):
    """Has the user's files loaded by `_Loader`; what else is imported goes its usual way."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[Path, bytes]] = {}  # of all modules of the user's that were found
        self.notes: dict[str, tuple[Path, bytes]] | None = (
            None  # where new ones are noted while their code runs
        )

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.sources and self.notes is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        file = file_of(spec)
        if spec is None or file is None:
            return None
        known, source = self.sources.get(fullname, (None, b""))
        if known != file:
            if self.notes is None or is_library(file):
                return None
            try:
                source = file.read_bytes()
            except OSError:
                return None
            self.sources[fullname] = (file, source)
        if self.notes is not None:
            self.notes.setdefault(fullname, (file, source))
        return spec_from_file_location(
            fullname,
            file,
            loader=_Loader(fullname, file, source),
            submodule_search_locations=spec.submodule_search_locations,
        )


_MODULES: dict[ModuleType, UserModule] = {}
_FINDER = _Finder()


def _import(name: str, refuse: Refuse) -> UserModule:
    importlib.invalidate_caches()  # a file may be younger than Python's list of its folder
    folders = searched_folders()
    own = next((file for folder in folders if (file := _locate(name, folder)) is not None), None)
    folder = Path.cwd()
    if own is not None:
        folder = own.parents[name.count(".") + (own.name == "__init__.py")]
        _put_last(folder, folders)
    spec = find_spec(name)
    file = file_of(spec)
    if own is not None and spec is not None and file != own:
        top = name.partition(".")[0]
        if file is None or is_library(file):
            raise refuse(
                f"{top!r} is a library's name ({spec.origin}), and it goes before your {own}: "
                "give your file another name"
            )
        if not file.samefile(own):
            raise refuse(f"{name!r} is {file} on Python's path and {own} here: give one another name")
    if spec is None:
        looked = ", ".join(map(str, folders))
        raise refuse(f"cannot import {name!r}: no such module; looked in {looked} and on the Python path")
    if file is None:
        raise refuse(f"{name!r} has no Python file, so no key can be made of what it does; name one of yours")
    if own is None:
        folder = file.parents[name.count(".") + (file.name == "__init__.py")]
    sources = collect_sources(name)
    for module, kept in _FINDER.sources.items():
        if module in sources and module in sys.modules and kept[0] == sources[module][0]:
            sources[module] = kept  # loaded before, from these bytes
    _FINDER.sources.update(sources)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.notes, before = sources, _FINDER.notes
    try:
        return UserModule(name, importlib.import_module(name), folder, sources)
    except BaseException as error:
        raise_if_not_theirs(error)
        note = _shadow_note(error, sources, folder)
        raise refuse(f"cannot import {name!r} ({file}): {one_line(error)}{note}") from error
    finally:
        _FINDER.notes = before


def _locate(name: str, folder: Path) -> Path | None:
    """Find a module's file under a folder; its packages need no `__init__.py`."""
    base = folder.absolute().joinpath(*name.split("."))
    found = next((f for f in (base / "__init__.py", base.with_name(f"{base.name}.py")) if f.is_file()), None)
    return found if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name) else None


def _put_last(folder: Path, others: Sequence[Path]) -> None:
    """Let Python look into a folder, after all libraries; what the user asked for by PYTHONPATH stays.

    Args:
        folder: The one that a module of the user's lies in.
        others: Of the project; those that pytest put first go to the end too.
    """
    asked = {Path(entry).absolute() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    movable = {folder, *others} - asked
    later = [entry for entry in sys.path if Path(entry or ".").absolute() in movable]
    sys.path[:] = [entry for entry in sys.path if entry not in later] + later
    if folder not in {Path(entry or ".").absolute() for entry in sys.path}:
        sys.path.append(str(folder))


def _shadow_note(error: BaseException, sources: dict[str, tuple[Path, bytes]], folder: Path) -> str:
    if not isinstance(error, ImportError | AttributeError | TypeError | NameError):
        return ""
    return "".join(
        f"; {name!r} is the installed library {library} here, not your own file: give yours another name"
        for name, library in shadowed_names(sources, folder)
    )
