"""ExecuTorch: a .pte file for phones and other devices, for its XNNPACK delegate, of one number of images."""

import warnings
from pathlib import Path

from pruning_core.errors import BackendError, first_line
from pruning_core.export.base import ExportFormat, Material
from pruning_core.export.torch_export import export_program


class ExecuTorch(ExportFormat):
    """ExecuTorch: float32 images (N, C, H, W) to logits, N fixed. The format has no place for metadata."""

    name = "executorch"
    ending = ".pte"
    precisions = ("fp32",)
    packages = ("executorch",)
    extra = "executorch"
    fixed_batch = True
    reader = """
import torch
from executorch.runtime import Runtime
import importlib.metadata
method = Runtime.get().load_program(path).load_method("forward")
runtime = "executorch " + importlib.metadata.version("executorch")
def predict(images):
    return method.execute([torch.from_numpy(images)])[0].numpy()
"""

    def write(self, material: Material, path: Path) -> None:
        """Write one file (see `ExportFormat.write`); what XNNPACK lacks runs on ExecuTorch's kernels."""
        program = export_program(material, material.batch_size)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
                from executorch.exir import to_edge_transform_and_lower

                lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
                content: bytes = lowered.to_executorch().buffer
        except Exception as error:
            raise BackendError(f"ExecuTorch cannot hold this model: {first_line(error)}") from error
        path.write_bytes(content)
