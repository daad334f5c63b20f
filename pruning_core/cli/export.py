"""The command `pruning-bench export`: a checkpoint as a file that runs without this program."""

from pathlib import Path

import click

from pruning_core.cli.options import FOLDER, FRACTION, NumberRange, given_options, store_option
from pruning_core.config.pictures import MAX_BROKEN
from pruning_core.errors import OptionError


@click.command()
@click.argument("what", metavar="KEY|FILE::CELL|FILE|FOLDER")
@click.option(
    "--to",
    required=True,
    metavar="FORMAT",
    help="onnx, openvino, torch (a .pt2), executorch, or python (a folder).",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The file, or folder, to write."
)
@click.option("--cell", help="A cell of the results FILE; it is exported as it was measured.")
@click.option("--ratio", type=FRACTION, help="The checkpoint of this ratio in the results FILE.")
@click.option("--precision", help="fp32, bf16, fp16 or int8 (default: as the cell was measured, else fp32).")
@click.option("--dataset", help="Where the images are, if not where the checkpoint says: folder:PATH.")
@click.option(
    "--test-share",
    type=NumberRange(0, 1, min_open=True, max_open=True),
    help="Of one folder of classes: the share that was tested on in training.",
)
@click.option(
    "--skip-broken",
    type=click.IntRange(0, MAX_BROKEN),
    default=0,
    metavar="N",
    help="Leave out up to N pictures that cannot be read.",
)
@click.option(
    "--inputs",
    type=click.Choice(["test", "random"]),
    default="test",
    show_default=True,
    help="Images to compare on; random where the dataset is not here.",
)
@click.option("--images", type=click.IntRange(1), help="Compare on so many test images (default: all).")
@click.option("--force", is_flag=True, help="Replace what is there.")
@store_option
@click.option("--data-root", type=FOLDER, help="Where torchvision's datasets lie.")
@click.option("--download", is_flag=True, help="Let the checkpoint's dataset be downloaded.")
def export(
    what: str,
    to: str,
    output: Path,
    cell: str | None,
    ratio: float | None,
    precision: str | None,
    dataset: str | None,
    test_share: float | None,
    skip_broken: int,
    inputs: str,
    images: int | None,
    force: bool,
    root: Path | None,
    data_root: Path | None,
    download: bool,
) -> None:
    """Write a checkpoint as a file that runs without this program, and prove it.

    The file is read back by its public runtime in a process of its own and must answer as the checkpoint on
    the test images; else it is removed, with exit code 2.
    """
    if inputs == "random":
        of_images = ("dataset", "test_share", "skip_broken", "images", "data_root", "download")
        if ignored := given_options(*of_images):
            raise OptionError(f"{', '.join(ignored)}: not with --inputs random, which reads no test images")
    from pruning_core.chain.networks import build_network, load_network
    from pruning_core.export.images import images_of
    from pruning_core.export.inputs import Where, load_own_dataset
    from pruning_core.export.story import Order, export_checkpoint, resolve_precision
    from pruning_core.export.subject import find_subject
    from pruning_core.export.table import render
    from pruning_core.progress import ProgressDisplay
    from pruning_core.store import default_root

    display = ProgressDisplay()
    root = root or default_root()
    subject = find_subject(what, cell, ratio, root)
    order = Order(to, output, precision, images, force)
    chosen = resolve_precision(order, subject)
    spec = subject.checkpoint.spec
    where = Where(root / "datasets", data_root, download, dataset, test_share, skip_broken)
    own = load_own_dataset(images_of(spec), where, display) if inputs == "test" else None
    network = load_network(subject.checkpoint)
    result = export_checkpoint(order, subject, network, lambda: build_network(spec), own, display)
    print(render(result, subject, output, chosen))
