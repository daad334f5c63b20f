"""The command `pruning-bench explain`: why a pruned network is not faster, layer by layer."""

from pathlib import Path

import click

from pruning_core.cli.options import FILE, FRACTION, layer_options, parse_image, store_option
from pruning_core.config.scopes import SCOPES
from pruning_core.console.streams import print_content, print_pieces
from pruning_core.errors import OptionError

MAX_ROUNDS = 1000


@click.command()
@click.argument("what", required=False, metavar="[KEY|FILE::CELL|FILE|FOLDER]")
@click.option("--cell", help="A cell of the results FILE; backend and batch size are its own.")
@click.option("--model", help="Instead of WHAT: a network that nobody trained, as `plan` takes it.")
@click.option("--ratio", type=FRACTION, help="Of --model, or which checkpoint of the FILE.")
@click.option("--method", help="Of --model (default: magnitude).")
@click.option("--scope", type=click.Choice(SCOPES), help="Of --model (default: local).")
@click.option("--round-to", type=click.IntRange(1, 4096), help="Of --model (default: 2).")
@layer_options
@click.option("--image", metavar="CxHxW", help="Of --model: shape of one image.")
@click.option(
    "--backend",
    metavar="NAME[:PRECISION]",
    help="eager, onnxruntime or openvino (default: the cell's, eager).",
)
@click.option("--batch-size", type=click.IntRange(1, 65_536), help="Default: the cell's, else 1.")
@click.option("--threads", type=click.IntRange(0, 1024), help="CPU threads (default: the cell's, else all).")
@click.option("--device", help="cpu; eager also on cuda (default: the cell's, else cpu).")
@click.option("--rounds", type=click.IntRange(6, MAX_ROUNDS), help="Of the profile (default: 20).")
@click.option("--format", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True)
@click.option("-o", "--output", type=FILE, help="Write here instead of to the terminal.")
@store_option
def explain(
    what: str | None,
    cell: str | None,
    model: str | None,
    ratio: float | None,
    method: str | None,
    scope: str | None,
    round_to: int | None,
    protect: str | None,
    ratio_of: str | None,
    max_ratio: float | None,
    image: str | None,
    backend: str | None,
    batch_size: int | None,
    threads: int | None,
    device: str | None,
    rounds: int | None,
    format: str,
    output: Path | None,
    root: Path | None,
) -> None:
    """Say why a pruned network is not as much faster as its multiply-adds promise.

    Layer by layer: width, share of multiply-adds and of time, dense and pruned, and a reason that was tested;
    then what would help, measured in pairs. Takes a minute or two.
    """
    if (what is None) == (model is None):
        raise OptionError(
            "name what is to be explained: a key, FILE::CELL or a folder, or else --model and --ratio"
        )
    own: dict[str, object] = {
        "--method": method,
        "--scope": scope,
        "--round-to": round_to,
        "--protect": protect,
    }
    if model is not None and cell is not None:
        raise OptionError("--cell: of a results FILE; a network that nobody trained has none")
    own |= {"--ratio-of": ratio_of, "--max-ratio": max_ratio, "--image": image}
    if what is not None and (given := [name for name, value in own.items() if value is not None]):
        raise OptionError(f"{', '.join(given)}: only with --model; a checkpoint has been pruned already")
    if model is not None and ratio is None:
        raise OptionError("--model needs --ratio, the fraction of channels to remove, such as 0.5")

    from pruning_core.config.grid import make_grid
    from pruning_core.console.escaping import for_json
    from pruning_core.explain.explanation import explain as explain_network
    from pruning_core.explain.profile import ROUNDS
    from pruning_core.explain.profilers import check_setting
    from pruning_core.explain.rendering import render
    from pruning_core.explain.subject import setting_of, stored_subject, untrained_subject
    from pruning_core.files.atomic import check_writable, write_pieces
    from pruning_core.progress import ProgressDisplay
    from pruning_core.pruning.combinations import check_method
    from pruning_core.store import default_root

    if output is not None:
        check_writable(output, *([Path(what.partition("::")[0])] if what is not None else []))
    if what is None:
        assert model is not None
        assert ratio is not None
        settings = {
            "method": method,
            "scope": scope,
            "round_to": round_to,
            "protect": protect,
            "ratio_of": ratio_of,
            "max_ratio": max_ratio,
        }
        grid = make_grid(
            {"model": model, "ratios": str(ratio), **{n: v for n, v in settings.items() if v is not None}}
        )
        for name, names in (("--model", grid.model), ("--method", grid.method)):
            if len(names) > 1:
                raise OptionError(f"{name}: one at a time is explained; got {', '.join(names)}")
        spec = grid.method_spec(grid.method[0])
        check_method(spec)
        setting = setting_of(None, backend, batch_size, threads, device)
        check_setting(setting)
        shape = None if image is None else parse_image(image)
        explained = untrained_subject(grid.model[0], spec, ratio, shape)
    else:
        explained, subject = stored_subject(what, cell, ratio, root or default_root())
        setting = setting_of(subject, backend, batch_size, threads, device)
    content = explain_network(
        explained, setting, lambda text: ProgressDisplay().work(text, quiet=True), rounds or ROUNDS
    )
    text = f"{for_json(content, indent=1) if format == 'json' else render(content)}\n"
    if output is not None:
        write_pieces(output, [text.encode("utf-8")])
    elif format == "json":
        print_content([text])
    else:
        print_pieces([text])
