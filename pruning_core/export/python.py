"""Plain Python: a folder that builds, cuts and loads the network by itself, whatever it is made of.

    network.py             `load()` returns the network
    weights.safetensors    all tensors, each once
    plan.json              numbers that pruning changed, and which tensor is whose
    metadata.json
    modules/               files that the network is built by: the user's own, or ours

The plan is not the store's: it is what the network differs in from the dense one, so that a few plain lines
can apply it, and so that checkpoints of earlier versions go the same way.
"""

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch

from pruning_core.config.stages import stage_words
from pruning_core.errors import ModelError
from pruning_core.export import python_template as template
from pruning_core.export.base import ExportFormat, Material
from pruning_core.export.images import images_of
from pruning_core.models import MODELS, ZOOS, find_module_of
from pruning_core.models.torchvision_zoo import size_arguments
from pruning_core.pruning import plain
from pruning_core.pruning.attributes import changed_attributes
from pruning_core.pruning.tensors import all_tensors, first_names
from pruning_core.user_code.sources import imported_names

_OUR_IMPORT = "from pruning_core.torchvision_compat import models as torchvision_models"


class PlainPython(ExportFormat):
    """A folder of plain Python, with the weights as they are in the checkpoint."""

    name = "python"
    ending = ""
    precisions = ("fp32",)
    packages = ("safetensors",)
    forbidden = ()
    reader = """
import importlib.util, sys
import torch
torch.set_num_threads(threads)
for name in ("pruning_core", "torch_pruning"):
    sys.modules[name] = None  # as if they were not installed
spec = importlib.util.spec_from_file_location("network", path + "/network.py")
written = importlib.util.module_from_spec(spec)
spec.loader.exec_module(written)
network = written.load()
for name in ("pruning_core", "torch_pruning"):
    del sys.modules[name]
runtime = "torch " + torch.__version__
def predict(images):
    with torch.inference_mode():
        return network(torch.from_numpy(images)).numpy()
"""

    def write(self, material: Material, path: Path) -> None:
        """Write the folder (see `ExportFormat.write`); metadata stand in `metadata.json`."""
        dense = material.build_dense()
        made_plain = bool(plain.reparametrized(dense)) and not plain.reparametrized(material.network)
        if made_plain:
            plain.make_plain(dense)
        source = _source_of(material)
        if made_plain:
            source.files["plain_weights.py"] = inspect.getsource(plain).encode()
        tensors = all_tensors(material.network)
        firsts = first_names(tensors)
        stored = {name: tensors[name].detach().clone().contiguous() for name in sorted(set(firsts.values()))}
        parameters = dict(material.network.named_parameters(remove_duplicate=False))
        plan = {
            "attributes": {
                name: {attribute: new for attribute, (_, new) in attributes.items()}
                for name, attributes in changed_attributes(dense, material.network).items()
            },
            "tensors": firsts,
            "frozen": sorted(name for name, tensor in parameters.items() if not tensor.requires_grad),
        }
        path.mkdir()
        (path / "network.py").write_text(_network_text(material, source, made_plain), encoding="utf-8")
        safetensors.torch.save_file(stored, path / "weights.safetensors")
        (path / "plan.json").write_text(_json(plan), encoding="utf-8")
        (path / "metadata.json").write_text(_json(material.metadata), encoding="utf-8")
        for name, content in source.files.items():
            target = path / "modules" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


@dataclass
class _Source:
    """Where a dense network comes from."""

    build: str  # the body of `build()`
    needs: tuple[str, ...] = ()  # libraries besides torch and safetensors
    files: dict[str, bytes] = field(default_factory=dict)  # below `modules/`


def _source_of(material: Material) -> _Source:
    name, spec = material.spec.model.name, images_of(material.spec)
    library, _, rest = name.partition(":")
    numbers = {"classes": spec.classes, "channels": spec.channels}
    torchvision = template.IMPORT_TORCHVISION
    if name in MODELS:
        builder = MODELS[name]
        module, function = builder.__module__.rpartition(".")[2], builder.__name__
        text = inspect.getsource(sys.modules[builder.__module__])
        uses = _OUR_IMPORT in text
        text = text.replace(_OUR_IMPORT, "from torchvision import models as torchvision_models")
        build = template.FROM_MODULE.format(
            torchvision=torchvision if uses else "", module=module, function=function, **numbers
        )
        return _Source(build, ("torchvision",) if uses else (), {f"{module}.py": text.encode()})
    if library not in ZOOS:
        return _of_user(name, numbers)
    if library == "torchvision":
        arguments = {
            "num_classes": spec.classes,
            **size_arguments(rest, (spec.channels, spec.height, spec.width)),
        }
        given = "".join(f", {key}={value!r}" for key, value in arguments.items())
        build = template.FROM_TORCHVISION.format(torchvision=torchvision, name=rest, arguments=given)
        return _Source(build, ("torchvision",))
    sized = template.SIZED_TIMM.format(name=rest, height=spec.height, width=spec.width)
    if ZOOS[library].own_image(rest)[1:] == (spec.height, spec.width):
        sized = ""
    build = template.FROM_TIMM.format(torchvision=torchvision, name=rest, sized=sized, **numbers)
    return _Source(build, ("timm",))


def _of_user(name: str, numbers: Mapping[str, int]) -> _Source:
    """Return a user's module with all files of the user's that it imports."""
    module, _, function = name.partition(":")
    sources = find_module_of(name).sources
    files: dict[str, bytes] = {}
    imported: set[str] = set()
    for dotted, (path, content) in sources.items():
        is_package = path.name == "__init__.py"
        parts = dotted.split(".")
        folder = parts if is_package else parts[:-1]
        files["/".join([*folder, path.name])] = content
        imported |= {each.partition(".")[0] for each in imported_names(content, dotted, is_package)}
    if "pruning_core" in imported or "torch_pruning" in imported:
        library = "pruning_core" if "pruning_core" in imported else "torch_pruning"
        raise ModelError(
            f"model {name} imports {library}, which is not there where the folder is used: take that import "
            "out of its module"
        )
    uses = "torchvision" in imported or "timm" in imported
    build = template.FROM_MODULE.format(
        torchvision=template.IMPORT_TORCHVISION if uses else "", module=module, function=function, **numbers
    )
    own = {dotted.partition(".")[0] for dotted in sources}
    if "network" in own:
        raise ModelError(
            f"model {name} imports a module called network, and so is the file that is written: rename yours"
        )
    needs = tuple(sorted(({"numpy", "torchvision", "timm"} & imported) - own))
    return _Source(build, needs, files)


def _network_text(material: Material, source: _Source, made_plain: bool) -> str:
    spec = material.spec
    needs = ", ".join(("torch", "safetensors", *source.needs))
    text = template.HEAD.format(
        what=f"{spec.model.name}, {stage_words(spec)}",
        key=material.metadata["key"],
        channels=images_of(spec).channels,
        height=images_of(spec).height,
        width=images_of(spec).width,
        needs=needs + (", and the files in modules/" if source.files else ""),
        build=source.build,
        seed_numpy=template.SEED_NUMPY if "numpy" in source.needs else "",
        make_plain=template.MAKE_PLAIN if made_plain else "",
    )
    if "sys.path" not in text:
        text = text.replace("import sys\n", "")
    if "importlib" not in text.replace("import importlib\n", ""):
        text = text.replace("import importlib\n", "")
    return text


def _json(content: object) -> str:
    return f"{json.dumps(content, sort_keys=True, indent=1)}\n"
