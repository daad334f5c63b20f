"""What is being made, noted on disk: the next process reports one that died in native code.

    <root>/attempts/<name>.<process>.json     begun, not ended: which step, since when
    <root>/attempts/<name>.<process>.trace    written by the dying process itself (`faulthandler`)
    <root>/attempts/<name>.deaths.json        how often processes died at which step; gone when it succeeds

A segmentation fault, an abort, or an end after a step had hung counts as a death of that step. A step at
which processes died repeatedly, under the same conditions, is not tried again. A process that was killed
while all went well does not count. What is counted, and why: `store/README.md`.
"""

import faulthandler
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from pruning_core.errors import CrashError

MAX_DEATHS = 2
"""Deaths at one step before it is refused."""

MAX_DEATHS_IN_ALL = 4
"""Deaths at different steps of one thing before it is refused: damaged memory shows anywhere."""

_MAX_NOTE_BYTES = 1_000_000

REMEDY = (
    'Try --threads 1, precision = "fp32" under [train] and [fine_tune], the environment variable '
    "ONEDNN_MAX_CPU_ISA=AVX2, or another release of PyTorch"
)

Conditions = Mapping[str, str | int]


class Attempt:
    """One thing that this process is making; it keeps on disk which step it has reached."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self._path, self._header = path, header

    def step(self, what: str) -> None:
        """Note the step that begins now."""
        if what != self._header.get("step"):
            self._header |= {"step": what, "silent": False}
            self._write()

    def note_silence(self, what: str) -> None:
        """Note that a step has not ended for long: a process that ends now ended because of it."""
        self._header |= {"silent": True, "waiting_for": what}
        self._write()

    def _write(self) -> None:
        with suppress(OSError):  # a full disk must not end a training that works
            draft = self._path.with_suffix(".writing")
            draft.write_text(json.dumps(self._header), encoding="utf-8")
            os.replace(draft, self._path)


class Attempts:
    """The folder of notes of one store."""

    def __init__(self, root: Path, notify: Callable[[str], None]) -> None:
        """Use `<root>/attempts`; `notify` takes one line about a process that died."""
        self._folder, self._notify = root / "attempts", notify

    @contextmanager
    def begin(
        self, name: str, label: str, conditions: Conditions, remedy: str = REMEDY, *, finishes: bool = True
    ) -> Iterator[Attempt]:
        """Note that something is being made, until the block ends, in whatever way Python ends it.

        Args:
            name: A file name that stands for it: a checkpoint's key, and a backend's where it matters.
            label: The same in words.
            conditions: What a death depends on, PyTorch's release for instance: others have a new chance.
            remedy: What to try when it is refused.
            finishes: Whether it is made at the end of the block, so that earlier deaths are forgotten.

        Raises:
            CrashError: If processes have died at one step of it too often.
        """
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
        self._judge(name, label, conditions, remedy)
        path = self._folder / f"{name}.{os.getpid()}.json"
        header = {"label": label, "step": "", "silent": False, "since": time.time(), **_process(os.getpid())}
        attempt = Attempt(path, header)
        attempt._write()
        try:
            with _trace_to(path.with_suffix(".trace")):
                yield attempt
            if finishes:
                with suppress(OSError):
                    (self._folder / f"{name}.deaths.json").unlink(missing_ok=True)
        finally:
            for suffix in (".json", ".trace", ".writing"):
                with suppress(OSError):
                    path.with_suffix(suffix).unlink(missing_ok=True)

    def _judge(self, name: str, label: str, conditions: Conditions, remedy: str) -> None:
        """Count the deaths of earlier processes, report new ones, refuse what died too often."""
        ledger = self._folder / f"{name}.deaths.json"
        counted = _read(ledger)
        deaths: dict[str, int] = {}
        if counted.get("conditions") == dict(conditions) and isinstance(counted.get("deaths"), dict):
            deaths = {str(k): v for k, v in counted["deaths"].items() if isinstance(v, int)}
        for path in sorted(self._folder.glob(f"{name}.*.json")):
            header = _read(path)
            if path == ledger or _is_alive(header):
                continue
            cause = _cause_of(header, path.with_suffix(".trace"))
            step = str(header.get("step") or "the beginning")
            self._notify(_line(label, step, header, cause))
            if cause:
                deaths[step] = deaths.get(step, 0) + 1
                with suppress(OSError):
                    ledger.write_text(
                        json.dumps({"conditions": dict(conditions), "deaths": deaths, "cause": cause})
                    )
            for suffix in (".json", ".trace", ".writing"):
                with suppress(OSError):
                    path.with_suffix(suffix).unlink(missing_ok=True)
        worst = max(deaths, key=deaths.__getitem__, default="")
        if worst and (deaths[worst] >= MAX_DEATHS or sum(deaths.values()) >= MAX_DEATHS_IN_ALL):
            cause = _read(ledger).get("cause", "native code failed")
            raise CrashError(
                f"{label}: {sum(deaths.values())} processes died while they made it ({cause}), "
                f"at: {worst}. Not tried again. {remedy}; to try it unchanged, delete {ledger}"
            )


def is_left_over(path: Path, made: bool) -> bool:
    """Return whether a file of `attempts/` is of no use any more.

    Args:
        path: A file with one of our names.
        made: Whether what it is about is stored by now.

    Returns:
        Whether no living process owns it; counted deaths of what is not made yet still count.
    """
    if path.name.endswith(".deaths.json"):
        return made
    return not _is_alive(_read(path.with_suffix(".json"))) and made


_STANDARD_ERROR = 2

_traces_go_to = _STANDARD_ERROR


def keep_traces_on(descriptor: int) -> None:
    """Set where traces of crashes go while nothing is being made; pytest sends standard error elsewhere."""
    global _traces_go_to
    _traces_go_to = descriptor


@contextmanager
def _trace_to(path: Path) -> Iterator[None]:
    """Let a native crash of this process write its trace into a file."""
    was_enabled = faulthandler.is_enabled()
    try:
        file = path.open("w", encoding="utf-8")
    except OSError:
        yield
        return
    with file:
        faulthandler.enable(file=file)
        try:
            yield
        finally:
            faulthandler.disable()
            if was_enabled:
                with suppress(OSError, ValueError, RuntimeError):  # closed meanwhile
                    faulthandler.enable(file=_traces_go_to)


def _process(pid: int) -> dict[str, Any]:
    """Describe a process so that another one with its number is not taken for it."""
    header: dict[str, Any] = {"pid": pid, "boot": _boot()}
    with suppress(OSError, psutil.Error):  # no /proc, as in some sandboxes
        header["started"] = round(psutil.Process(pid).create_time(), 1)
    return header


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _is_alive(header: Mapping[str, Any]) -> bool:
    pid = header.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0 or header.get("boot") != _boot():
        return False
    try:
        return abs(psutil.Process(pid).create_time() - float(header["started"])) < 1.0
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False


def _cause_of(header: Mapping[str, Any], trace: Path) -> str:
    """Return why a process died natively; empty where somebody or something merely ended it."""
    with suppress(OSError):
        first_line = trace.read_bytes()[:_MAX_NOTE_BYTES].decode("utf-8", "replace").partition("\n")[0]
        if first_line.startswith("Fatal Python error: "):
            return first_line.removeprefix("Fatal Python error: ")[:80]
    if header.get("silent") is True:
        return "ended after it had hung"
    return ""


def _line(label: str, step: str, header: Mapping[str, Any], cause: str) -> str:
    since = header.get("since")
    when = "earlier"
    with suppress(TypeError, ValueError, OverflowError, OSError):
        when = time.strftime("from %Y-%m-%d %H:%M:%S on", time.localtime(float(since)))  # type: ignore[arg-type]
    end = f"died ({cause})" if cause else "was ended"
    return f"{label}: the process that made it {when} {end} at: {step}. Going on from what is stored"


def _read(path: Path) -> dict[str, Any]:
    """Read a note; one that cannot be read counts as empty."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_NOTE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
