"""How a command ends: each exit code means one thing, and a reader gets a line, never a traceback.

    0           what was asked for is done; of `gate`: pass
    1, 2, 3     of `gate`, whatever becomes of its output: regressed, cannot compare, inconclusive
    1           of `recommend`, likewise: nothing fits
    2           else: a mistake that the user can mend, a disk that is full; one line says which
    70          a fault of this program (`faults.py`)
    141         the reader of the output went away, as `| head` does; nothing is said
    128 + n     signal n (`interrupts.py`)

The first line that applies counts.
"""

import errno
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import click

from pruning_core.console.escaping import for_terminal
from pruning_core.console.streams import lost_output
from pruning_core.errors import PruningBenchError
from pruning_core.process.faults import EXIT_CODE as FAULT
from pruning_core.process.faults import describe_fault
from pruning_core.process.interrupts import end_if_interrupted, interruption_line, restore_default_actions

READER_GONE = 141

_OF_THE_MACHINE = {
    getattr(errno, name)
    for name in (
        "EACCES",
        "EPERM",
        "EROFS",
        "ENOSPC",
        "EDQUOT",
        "EIO",
        "EMFILE",
        "ENFILE",
        "ENAMETOOLONG",
        "ELOOP",
    )
    if hasattr(errno, name)
}
"""What a system refuses for reasons that its user can mend."""


class Verdict(Exception):  # noqa: N818  # not an error
    """Raised by a command whose exit code is its result, whatever becomes of its output."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def end_process(command: Callable[[], object]) -> NoReturn:
    """Run a command and end the process.

    Args:
        command: Returns, or raises `Verdict`.
    """
    code, line = _run(command)
    end_if_interrupted()
    if line:
        print(line, file=sys.stderr)
    lost = lost_output()
    if lost is not None and lost.errno != errno.EPIPE:
        if code is None:
            print(f"error: cannot write to standard output: {_reason(lost)}", file=sys.stderr)
        elif not line:
            note = "the exit code stands"
            print(f"cannot write to standard output: {_reason(lost)}; {note}", file=sys.stderr)
    if code is None:
        code = (
            0 if lost is None else READER_GONE if lost.errno == errno.EPIPE else PruningBenchError.exit_code
        )
    restore_default_actions()
    sys.exit(code)


def _run(command: Callable[[], object]) -> tuple[int | None, str]:
    """Return the exit code, or None where all went well and the command chose none, and what to say."""
    try:
        command()
    except Verdict as verdict:
        return verdict.exit_code, ""
    except SystemExit as end:
        if end.code == PruningBenchError.exit_code:  # a command of ours that has said why
            return PruningBenchError.exit_code, ""
        return FAULT, describe_fault(end)  # somebody else's: what was asked for is not done
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # of click 8.2 and later
            return PruningBenchError.exit_code, error.format_message()
        return PruningBenchError.exit_code, for_terminal(f"error: {error.format_message()}")
    except PruningBenchError as error:
        return error.exit_code, for_terminal(f"error: {error}")
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT, interruption_line(signal.SIGINT)
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            return PruningBenchError.exit_code, for_terminal(f"error: {_reason(error)}")
        return FAULT, describe_fault(error)
    except BaseException as error:
        end_if_interrupted()  # whatever a library has made of the signal's exception
        return FAULT, describe_fault(error)
    return None, ""


def _reason(error: OSError) -> str:
    name = error.filename.decode(errors="replace") if isinstance(error.filename, bytes) else error.filename
    return f"{error.strerror or error}" + (f": {name}" if name else "")
