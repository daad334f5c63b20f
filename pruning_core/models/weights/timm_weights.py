"""Weights that timm has published of its networks; read by us, renamed by timm."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pruning_core.errors import ModelError, OptionError
from pruning_core.models import ZOOS
from pruning_core.models.weights.published import Published, download_to_torch_cache, torch_cache

_FILES = ("model.safetensors", "pytorch_model.bin")
"""In a repository of Hugging Face, the first that is there."""


def find_timm_weights(source: str, model: str) -> Published:
    """Look up the weights that timm has published of a network; its name may end in their tag.

    Raises:
        OptionError: If the network is not of timm, timm is not installed, or it has published none.
    """
    library, _, name = model.partition(":")
    if source != "timm" or library != "timm":
        raise OptionError(
            f"weights {source}: for a network of timm write --model timm:NAME --weights timm, and the tag of "
            f"other weights in the network's name, timm:NAME.TAG; got --model {model}"
        )
    zoo = ZOOS["timm"]
    if not zoo.has(name):
        raise OptionError(f"weights timm: timm has no network {name!r}")
    timm: Any = importlib.import_module("timm")
    cfg = timm.models.get_pretrained_cfg(name)
    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        raise OptionError(f"weights timm: timm has published none of {name}")
    if cfg.custom_load:
        raise OptionError(
            f"weights timm: those of {name} are in a format of their own, which is not read here"
        )
    full_name = f"timm:{cfg.architecture or name.partition('.')[0]}" + (f".{cfg.tag}" if cfg.tag else "")
    path, url = _cached(cfg)
    return Published(
        name=full_name,
        path=path,
        url=url,
        download=lambda: _download(cfg),
        mean=tuple(cfg.mean),
        std=tuple(cfg.std),
        adapt=lambda tensors: _adapted(timm, name, tensors),
    )


def _cached(cfg: Any) -> tuple[Path, str]:
    """Return where a file lies or will lie, and its address."""
    if not cfg.hf_hub_id:
        return torch_cache(cfg.url), cfg.url
    hub: Any = importlib.import_module("huggingface_hub")
    files = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _FILES
    url = f"https://huggingface.co/{cfg.hf_hub_id}/resolve/main/{files[0]}"
    for name in files:
        found = hub.try_to_load_from_cache(cfg.hf_hub_id, name)
        if isinstance(found, str):
            return Path(found), url
    folder = Path(hub.constants.HF_HUB_CACHE) / hub.file_download.repo_folder_name(
        repo_id=cfg.hf_hub_id, repo_type="model"
    )
    return folder / "snapshots" / "main" / files[0], url


def _download(cfg: Any) -> Path:
    if cfg.hf_hub_id:
        hub: Any = importlib.import_module("huggingface_hub")
        return Path(hub.hf_hub_download(cfg.hf_hub_id, cfg.hf_hub_filename or _FILES[0]))
    return download_to_torch_cache(cfg.url, torch_cache(cfg.url))


def _adapted(timm: Any, name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Have timm turn the tensors of a file into those of its network, as when it loads them itself."""
    try:
        network = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(tensors)}
        )
    except Exception as error:  # whatever torch and timm raise where names or shapes differ
        raise ModelError(
            f"weights timm: timm cannot load what lies in the cache for {name}: {error}"
        ) from error
    return dict(network.state_dict())
