"""`python -m pruning_core` is `pruning-bench`."""

from pruning_core.cli import main

if __name__ == "__main__":
    main()
