"""`python -m pruning_core` is `pruning-bench`: signals first, then streams, then the commands."""

# Not `signal`: it imports a dozen modules first, in each of which Ctrl-C would be a traceback.
import _signal  # type: ignore[import-not-found]
import os
import sys

_ENDING = {getattr(_signal, name): name for name in ("SIGINT", "SIGTERM", "SIGHUP")}


def run() -> None:
    """Run the command line in a process of its own."""
    for number in _ENDING:
        if _signal.getsignal(number) != _signal.SIG_IGN:  # as under nohup
            _signal.signal(number, _end_at_once)
    from pruning_core.process.interrupts import end_if_interrupted, handle_signals, watch_signals

    handle_signals(_end_at_once)
    try:
        from pruning_core.console.streams import guard_streams

        guard_streams()
        watch_signals()
        from pruning_core.cli import main

        main()
    finally:
        end_if_interrupted()


def _end_at_once(number: int, frame: object) -> None:
    """End while there is nothing to undo."""
    try:
        os.write(2, f"interrupted by {_ENDING[number]}; nothing was begun\n".encode())
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `-m` puts the current folder before all libraries: a file called as one would run instead.
        sys.path.append(sys.path.pop(0))
    run()
