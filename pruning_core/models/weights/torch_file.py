"""What `torch.save` wrote, read without running anything of it.

A pickle may name any function and have it called. So first the names in it are read, without unpickling:
a file that names more than what tensors are made of is refused. Then torch reads it with `weights_only`.
Optimizers and arguments that often stand beside the weights are stood in for, and never made.
"""

import pickletools
import warnings
import zipfile
from collections.abc import Sequence
from typing import BinaryIO

import torch

from pruning_core.errors import first_line

_TENSOR_PARTS = {
    *("collections.OrderedDict", "_codecs.encode", "torch.Size", "torch.Tensor", "torch.device"),
    *("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3"),
    *("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"),
    *("torch._tensor._rebuild_from_type_v2", "torch.storage.UntypedStorage", "torch.storage.TypedStorage"),
    *(f"torch.{name}" for name, value in vars(torch).items() if isinstance(value, torch.dtype)),
    *(f"torch.{name}" for name in vars(torch) if name.endswith("Storage")),
}
"""What tensors in a state dict are made of; torch allows some more, such as making an array of any size."""

_STOOD_FOR = {
    *("argparse.Namespace", "collections.defaultdict", "collections.Counter"),
    *(
        f"builtins.{name}"
        for name in ("bool", "complex", "dict", "float", "int", "list", "set", "str", "tuple")
    ),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray"),
    *(f"pathlib{local}.{kind}Path" for local in ("", "._local") for kind in ("", "Posix", "Windows")),
}
"""What often stands beside the weights: nothing of these names is ever looked up."""

_FILLED = "collections.defaultdict"
"""Of these, the one that unpickling puts items into; torch does so into a dict alone."""

_LEGACY_PICKLES = 5
"""Of a file as torch wrote it up to version 1.5: magic number, version, system, content, storages."""

_MAX_NAMED = 3

_ADVICE = "Where it was made, save the tensors alone: torch.save(network.state_dict(), 'weights.pt')"


class _StandIn:
    """Stands for an object that is not made; takes all that unpickling does to one."""

    def __new__(cls, *_: object, **__: object) -> "_StandIn":
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        """Forget what it was."""


def _stand_in_dict(*_: object) -> dict[object, object]:
    return {}


def read_torch_file(file: BinaryIO, size: int) -> object:
    """Return what a file of `torch.save` holds, its tensors on the CPU.

    Args:
        file: At its beginning.
        size: Of the file, in bytes.

    Raises:
        ValueError: In words, if it is no such file, is damaged, or names more than what tensors are made of.
    """
    zipped = file.read(4) == b"PK\x03\x04"
    file.seek(0)
    names = _names_in_zip(file, size) if zipped else _names_in_legacy(file)
    refused = sorted(names - _TENSOR_PARTS - _STOOD_FOR)
    if refused:
        raise ValueError(_explain(refused))
    stand_ins = [
        (_stand_in_dict if name == _FILLED else _StandIn, name) for name in sorted(names & _STOOD_FOR)
    ]
    file.seek(0)
    try:
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():  # type: ignore[arg-type]
            warnings.simplefilter("ignore")  # what torch says of old formats
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of torch's readers of zip and pickle, in C++ and Python
        raise ValueError(f"it is damaged, or no file of torch.save: {first_line(error)}") from error


def _explain(refused: Sequence[str]) -> str:
    """Say in words why a file is refused that names what no tensors are made of."""
    if any(name.startswith("torch.nn.modules.") for name in refused):
        own = [name for name in refused if not name.startswith(("torch.", "builtins.", "collections."))]
        what = f"it holds a whole network ({', '.join((own or refused)[:_MAX_NAMED])})"
    elif all(name.startswith("torch.") for name in refused):
        return f"it holds tensors of another kind, such as quantized or sparse ones. {_ADVICE}"
    else:
        what = f"it holds more than tensors ({', '.join(refused[:_MAX_NAMED])})"
    return f"{what}, and no code is run out of a file. {_ADVICE}"


def _names_in_zip(file: BinaryIO, size: int) -> set[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.filename.endswith("/constants.pkl") for entry in entries):
                raise ValueError(f"it is a network of TorchScript, which is code. {_ADVICE}")
            pickles = [entry for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
            if len(pickles) != 1:
                raise ValueError("it is a zip file, but not one that torch.save wrote")
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            if not stored or sum(entry.file_size for entry in entries) > size:
                raise ValueError("it is a compressed zip file, which torch.save does not write")
            if damaged := archive.testzip():  # torch does not look at checksums
                raise ValueError(f"its record {damaged!r} is damaged: it is not as its checksum says")
            return _names_in(archive.read(pickles[0]))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is a truncated or damaged zip file ({first_line(error)})") from error


def _names_in_legacy(file: BinaryIO) -> set[str]:
    names: set[str] = set()
    for _ in range(_LEGACY_PICKLES):
        names |= _names_in(file)
    return names


def _names_in(pickled: bytes | BinaryIO) -> set[str]:
    """Return the names that a pickle looks up, as module.name, without unpickling it."""
    names: set[str] = set()
    another_protocol = False
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            another_protocol |= opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4")
            if opcode.name in ("GLOBAL", "INST"):
                names.add(str(argument).replace(" ", ".").replace("__builtin__.", "builtins."))
    except (ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"it is damaged, or no file of torch.save: {first_line(error)}") from error
    if another_protocol:
        raise ValueError(f"it is a pickle of another kind than torch.save writes by itself. {_ADVICE}")
    return names
