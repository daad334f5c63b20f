"""Say in a line what is wrong with a key of a grid, or with the option that replaces it."""

import difflib
from typing import Any

from pruning_core.config.validation import StrictModel
from pruning_core.console.shown import shortened, shown


def option_line(item: Any, model: type[StrictModel], of: str = "option {} in a grid") -> str:
    """Return one error of pydantic as a line; of a key that there is not, with the closest one.

    Args:
        item: Of `ValidationError.errors()`.
        model: What was validated; its sections are models too.
        of: What a key is called, after "no".
    """
    name = ".".join(str(part) for part in item["loc"] if isinstance(part, str))
    if item["type"] == "extra_forbidden":
        owner = _section(model, str(item["loc"][0])) if len(item["loc"]) > 1 else model
        close = difflib.get_close_matches(str(item["loc"][-1])[:60], owner.model_fields, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"no {of.format(shown(name))}.{hint}\n  known: {', '.join(owner.model_fields)}"
    message = shortened(str(item["msg"]).removeprefix("Value error, "), 1000)
    got = "" if item["type"] == "value_error" else f"; got {shown(item['input'])}"
    head = f"{shortened(name, 100)}: " if name else ""  # of several keys together: the text names them
    return f"{head}{message[:1].lower()}{message[1:]}{got}"


def _section(grid: type[StrictModel], name: str) -> type[StrictModel]:
    kind = grid.model_fields[name].annotation if name in grid.model_fields else None
    return kind if isinstance(kind, type) and issubclass(kind, StrictModel) else grid
