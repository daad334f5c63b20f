"""`python -m pruning_core` is `pruning-bench`: signals first, then streams, then the commands."""

from pruning_core.interrupts import end_if_interrupted, handle_signals, watch_signals


def run() -> None:
    """Run the command line in a process of its own."""
    handle_signals()
    try:
        from pruning_core.streams import guard_streams

        guard_streams()
        watch_signals()
        from pruning_core.cli import main

        main()
    finally:
        end_if_interrupted()


if __name__ == "__main__":
    run()
