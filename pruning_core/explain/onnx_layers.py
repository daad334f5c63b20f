"""Which layer a node of an ONNX runtime comes from, by the names that the export gave.

The export names nodes by modules: "/layer1/layer1.0/conv1/Conv". A runtime fuses and renames them: it appends
("_nchwc", "/WithoutBiases"), or names a node by an output ("/layer1/layer1.0/relu/Relu_output_0"), the last
of what it fused. So a name is looked up among nodes and outputs, and from there one goes back to the product.
"""

import re
from collections import deque
from collections.abc import Collection

from pruning_core.explain.profile import Kind

PRODUCTS = frozenset(
    (
        *("Conv", "FusedConv", "NhwcFusedConv", "QLinearConv", "ConvInteger", "ConvTranspose"),
        *("Convolution", "GroupConvolution", "Deconvolution", "FullyConnected"),
        *("Gemm", "FusedGemm", "QGemm", "MatMul", "FusedMatMul", "QLinearMatMul", "MatMulInteger"),
        *("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulNBits"),
    )
)
"""Operators of layers, in the words of ONNX Runtime and of OpenVINO."""

CONVERSIONS = frozenset(
    (
        *("Reorder", "ReorderInput", "ReorderOutput", "Transpose", "Cast", "Convert"),
        *("QuantizeLinear", "DequantizeLinear", "FakeQuantize", "Quantize", "Dequantize"),
        *("MemcpyToHost", "MemcpyFromHost"),
    )
)
"""Operators that change how numbers are laid out or stored, and compute nothing."""

MAX_FUSED = 8
"""Nodes that one goes back from what a fused node is named after, at most."""


class OnnxLayers:
    """The layers of an exported model, by the names of its nodes and outputs."""

    def __init__(self, onnx_bytes: bytes, modules: Collection[str], layers: Collection[str]) -> None:
        """Read the graph.

        Args:
            onnx_bytes: What `export_onnx` returned.
            modules: Names of all modules of the network.
            layers: Names of those that are layers; what lies within one is part of it.
        """
        import onnx

        self._modules, self._layers = set(modules), set(layers)
        self._inputs: dict[str, list[str]] = {}  # node or output → outputs that it reads
        self._owner: dict[str, str] = {}  # node or output → layer
        self._products: set[str] = set()
        for node in onnx.load_from_string(onnx_bytes).graph.node:
            owner = self.layer_of_path(node.name)
            for name in (node.name, *node.output):
                self._inputs[name] = list(node.input)
                self._owner[name] = owner
                if node.op_type in PRODUCTS:
                    self._products.add(name)

    def find(self, name: str, operator: str, fused: Collection[str] = ()) -> tuple[str, Kind]:
        """Return the layer of a node that a runtime ran, and what kind of node it is.

        Args:
            name: As the runtime calls it.
            operator: Its kind, in the runtime's words.
            fused: Names of the nodes that it was made of, where the runtime tells.
        """
        known = self._lookup(name)
        owner = self._owner.get(known, "")
        if operator in CONVERSIONS:
            inside = owner if owner and known not in self._products and operator == "Transpose" else ""
            return (inside, "layer") if inside else ("", "conversion")
        if operator in PRODUCTS:
            owner = owner or next(filter(None, (self._owner.get(self._lookup(n), "") for n in fused)), "")
            owner = owner or self._walk_back(known)
        return (owner, "layer") if owner else ("", "other")

    def layer_of_path(self, path: str) -> str:
        """Return the layer that "/layer1/layer1.0/conv1/Conv" names; empty where it is of none."""
        current = ""
        for part in path.strip("/").split("/")[:-1]:
            current = self._child(current, part)
        while current and current not in self._layers:
            current = current.rpartition(".")[0]
        return current

    def _child(self, module: str, part: str) -> str:
        # A part may repeat the end of the module before ("conv.0" within "features.1.conv"), or count calls.
        for text in (part, re.sub(r"_\d+$", "", part)):
            around: str | None = module
            while around is not None:
                joined = f"{around}.{text}" if around else text
                if joined in self._modules:
                    return joined
                around = around.rpartition(".")[0] if around else None
        return module

    def _lookup(self, name: str) -> str:
        """Return the longest known name that a name begins with, up to a sign that parts names."""
        for end in range(len(name), 0, -1):
            if name[:end] in self._owner and (end == len(name) or not name[end].isalnum()):
                return name[:end]
        return ""

    def _walk_back(self, name: str) -> str:
        queue, steps = deque([name]), 0
        while queue and steps < MAX_FUSED:
            current = queue.popleft()
            steps += 1
            if current in self._products and self._owner[current]:
                return self._owner[current]
            queue.extend(read for read in self._inputs.get(current, ()) if read in self._owner)
        return ""
