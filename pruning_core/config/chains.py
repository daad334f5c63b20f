"""What the ratios of a grid mean: each follows those before it."""

from pathlib import Path

from pruning_core.config.grid import Grid, read_grid


def explain_other_chain(path: Path, grid: Grid) -> str | None:
    """Explain that ratios of the command line make another chain than the grid file's, and what to do.

    Args:
        path: The grid file.
        grid: The same with the command line's options laid over it.

    Returns:
        One line; None where each ratio follows the same ones as in the file, or nothing follows anything.
    """
    chain = read_grid(path).ratios
    asked = grid.ratios
    if grid.schedule != "iterative":
        return None
    for ratio in asked:
        earlier, in_file = [[r for r in ratios if 0 < r < ratio] for ratios in (asked, chain)]
        if ratio in chain and earlier != in_file:
            follows = " → ".join(f"{r:g}" for r in in_file) or "dense"
            names = " or ".join(f"{r:g}" for r in asked if r in chain)
            return (
                f"note: --ratios {','.join(f'{r:g}' for r in asked)} is a chain of its own and is trained "
                f"again: in grid {path.stem}, {ratio:g} follows {follows}. To select cells of the grid's "
                f'chain instead: pytest -k "{names}"'
            )
    return None
