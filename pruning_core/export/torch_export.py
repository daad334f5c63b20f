"""`torch.export`: a .pt2 file that torch alone loads, with any number of images."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pruning_core.config.precision import PRECISIONS
from pruning_core.errors import BackendError, first_line
from pruning_core.export.base import ExportFormat, Material
from pruning_core.models.copying import copy_network

METADATA_FILE = "metadata.json"
"""The metadata's name among the extra files of a .pt2."""


class TorchExport(ExportFormat):
    """`torch.export`: float32 images (N, C, H, W) to float32 logits, whatever the weights' precision."""

    name = "torch"
    ending = ".pt2"
    precisions = ("fp32", "bf16", "fp16")
    reader = """
import torch
torch.set_num_threads(threads)
module = torch.export.load(path).module()
runtime = "torch " + torch.__version__
def predict(images):
    with torch.inference_mode():
        return module(torch.from_numpy(images)).numpy()
"""

    def write(self, material: Material, path: Path) -> None:
        """Write one file (see `ExportFormat.write`); metadata are an extra file, `metadata.json`.

        Where this program lies is not written: of each operation torch notes the line that it stems from.
        """
        program = export_program(material)
        for module in program.graph_module.modules():
            for node in module.graph.nodes if hasattr(module, "graph") else ():
                node.meta.pop("stack_trace", None)
        metadata = json.dumps(material.metadata, sort_keys=True, indent=1)
        torch.export.save(program, path, extra_files={METADATA_FILE: metadata})


def export_program(material: Material, batch_size: int | None = None) -> Any:
    """Return the exported program of a network.

    Args:
        material: The network, and its precision.
        batch_size: Number of images that it takes; None: any.

    Raises:
        BackendError: If `torch.export` cannot follow it.
    """
    network = copy_network(material.network).eval().requires_grad_(False)
    if material.precision != "fp32":
        network = _InPrecision(network, PRECISIONS[material.precision].dtype)
    # Two images: one alone would be taken for a size that is always 1.
    images = material.example.expand(batch_size or 2, *material.example.shape[1:]).contiguous()
    shapes = None if batch_size else ({0: torch.export.Dim("batch")},)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(network, (images,), dynamic_shapes=shapes)
    except Exception as error:
        raise BackendError(
            f"torch.export cannot follow this model's forward: {first_line(error)}. It may branch on its "
            "input, or on the number of images"
        ) from error


class _InPrecision(nn.Module):
    """A network that computes in another type, between a float32 input and a float32 output."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network.to(dtype)
        self.dtype = dtype

    def forward(self, images: Tensor) -> Tensor:  # (N, C, H, W) -> (N, classes)
        logits: Tensor = self.network(images.to(self.dtype))
        return logits.float()
