"""What pytest-benchmark writes of a run, without paths, host names and users: files are to be shared."""

import re
from pathlib import Path
from typing import Any

from pruning_core.config.cells import Cell, Variant

_NAME = r"[^\s/\\'\",;:()<>\[\]{}]+"
_POSIX = re.compile(rf"(?<![\w/.~-])(?:/|~/|(?:\.\./)+)(?:{_NAME}/)*({_NAME})/?")
_WINDOWS = re.compile(r"(?<![A-Za-z])(?:[A-Za-z]:|\\)[\\/](?:[^\\/:*?\"'<>|\n]+[\\/])*([^\\/:*?\"'<>|\s]+)")
_TEXTS = ("failure", "contention")


def keep_names_only(content: dict[str, Any]) -> None:
    """Replace what pytest-benchmark knows of the machine's folders by names, in place.

    Args:
        content: Of the file: `machine_info`, `commit_info`, `benchmarks`.
    """
    content["machine_info"]["node"] = ""
    content["commit_info"].pop("error", None)  # of git, with the folder it was asked in
    for entry in content["benchmarks"]:
        # A new dictionary: the old one is that of the test itself.
        entry["params"] = {
            name: value.id if isinstance(value, Variant | Cell) else value
            for name, value in (entry["params"] or {}).items()
        } or None
        file, separator, test = entry["fullname"].partition("::")
        if Path(file).is_absolute() or file.startswith(".."):  # the suite lies outside of the project
            entry["fullname"] = f"{Path(file).name}{separator}{test}"
        for function in entry.get("cprofile", ()):
            function["function_name"] = hide_paths(function["function_name"])
        for name in _TEXTS:
            if entry["extra_info"].get(name):
                entry["extra_info"][name] = hide_paths(entry["extra_info"][name])


def hide_paths(text: str) -> str:
    """Return a text in which of each path only the last name is left."""
    for folder, short in ((Path.cwd(), "."), (Path.home(), "~")):
        if folder != Path(folder.anchor):  # may hold spaces, where a pattern would end
            text = re.sub(rf"{re.escape(str(folder))}(?![\w.-])", short, text)
    return _POSIX.sub(r"\1", _WINDOWS.sub(r"\1", text))
