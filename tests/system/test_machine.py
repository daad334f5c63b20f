"""The description of a machine, and what training and measuring ask of its hardware."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from pruning_core.errors import OptionError
from pruning_core.system import hardware
from pruning_core.system import machine as machine_module
from pruning_core.system.hardware import cpu_bf16, fast_bf16, resolve_threads, usable_cores
from pruning_core.system.machine import FINGERPRINT_FIELDS, describe_machine


def test_description_is_flat_and_json() -> None:
    """Every value is a text, a number, a truth value or a list of texts, and survives JSON."""
    machine = describe_machine(2)
    assert json.loads(json.dumps(machine)) == machine
    for value in machine.values():
        assert isinstance(value, str | int | float | bool | list)
        assert not isinstance(value, list) or all(isinstance(item, str) for item in value)


def test_description_has_what_a_reader_needs() -> None:
    """Hardware, versions, load, and a short name that says cores."""
    machine = describe_machine(2)
    wanted = {"name", "isa_limits", "memory_bytes", "os", "load_1m", "fingerprint", *FINGERPRINT_FIELDS}
    assert set(machine) == wanted
    assert machine["threads"] == 2
    assert machine["torch"] == metadata.version("torch")
    assert str(machine["cores"]) in str(machine["name"])
    assert int(machine["memory_bytes"]) > 2**20


def test_threads_are_pytorchs_own_unless_said() -> None:
    """Without a number, the machine is described with the threads that PyTorch is set to."""
    assert describe_machine()["threads"] == torch.get_num_threads()
    assert describe_machine(0)["threads"] == usable_cores()


def test_fingerprint_does_not_change_with_the_load(monkeypatch) -> None:
    """Two descriptions of one machine have one fingerprint, busy or idle."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    idle = describe_machine(2)
    monkeypatch.setattr(os, "getloadavg", lambda: (64.0, 64.0, 64.0))
    busy = describe_machine(2)
    assert idle["load_1m"] != busy["load_1m"]
    assert idle["fingerprint"] == busy["fingerprint"]
    assert len(str(idle["fingerprint"])) == 16


@pytest.mark.parametrize("field", FINGERPRINT_FIELDS)
def test_fingerprint_changes_with_each_field_that_latency_depends_on(field) -> None:
    """Other hardware, other versions, other threads: another fingerprint."""
    machine = describe_machine(2)
    other = {**machine, field: ["other"] if field == "gpus" else "other"}
    assert machine_module._fingerprint(other) != machine["fingerprint"]


def test_a_limit_on_instruction_sets_is_another_machine(cpu, monkeypatch) -> None:
    """What oneDNN or PyTorch is told not to use stands in the description and in the fingerprint."""
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    free = describe_machine(2)
    assert free["isa_limits"] == ""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx512_core")
    limited = describe_machine(2)
    assert limited["isa_limits"] == "ONEDNN_MAX_CPU_ISA=AVX512_CORE"
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    both = describe_machine(2)
    assert both["isa_limits"] == "ONEDNN_MAX_CPU_ISA=AVX512_CORE ATEN_CPU_CAPABILITY=avx2"
    assert len({m["fingerprint"] for m in (free, limited, both)}) == 3


def test_a_package_that_is_absent_has_an_empty_version(monkeypatch) -> None:
    """A version is empty when its package is not installed; the second name of a package counts too."""

    def version(package: str) -> str:
        if package == "onnxruntime-gpu":
            return "9.9"
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", version)
    machine = describe_machine(2)
    assert machine["openvino"] == ""
    assert machine["onnxruntime"] == "9.9"


def test_describing_imports_no_runtime() -> None:
    """Naming the versions of ONNX Runtime, OpenVINO and torchvision imports none of them."""
    code = (
        "import sys; from pruning_core.system.machine import describe_machine; describe_machine(1);"
        "print([name for name in ('onnxruntime', 'openvino', 'onnx', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("cpu", "cores", "gpus", "name"),
    [
        ("AMD EPYC", 2, [], "AMD EPYC, 2 cores"),
        ("Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz", 1, [], "Intel Xeon Gold 6330, 1 core"),
        ("AMD EPYC 9354 32-Core Processor", 32, ["NVIDIA H200"], "AMD EPYC 9354, 32 cores, NVIDIA H200"),
        ("X", 4, ["A100", "A100"], "X, 4 cores, 2× A100"),
    ],
)
def test_short_name(cpu, cores, gpus, name) -> None:
    """A machine's short name drops trademarks and clock, and counts like GPUs."""
    assert machine_module._short_name(cpu, cores, gpus) == name


@pytest.fixture
def cpu(monkeypatch):
    """Stand for a CPU without limits; return the set of what it has: `amx`, `bf16`, `avx512`."""
    has: set[str] = set()
    for name, what in (("amx_tile", "amx"), ("avx512_bf16", "bf16"), ("avx512", "avx512")):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda what=what: what in has, raising=False)
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    return has


def test_bfloat16_of_a_cpu_is_known_by_its_best_instructions(cpu) -> None:
    """AMX goes before AVX-512; neither means none, and then bfloat16 is not fast."""
    has = cpu
    assert (cpu_bf16(), fast_bf16("cpu")) == ("none", False)
    has.add("bf16")
    assert (cpu_bf16(), fast_bf16("cpu")) == ("avx512_bf16", True)
    has.add("amx")
    assert (cpu_bf16(), fast_bf16("cpu")) == ("amx", True)


@pytest.mark.parametrize(
    ("limit", "bf16", "avx512"),
    [
        ("AVX2", "none", False),
        ("avx2_vnni_2", "none", False),
        ("SSE41", "none", False),
        ("AVX512_CORE", "none", True),
        ("AVX512_CORE_VNNI", "none", True),
        ("AVX512_CORE_BF16", "avx512_bf16", True),
        ("AVX512_CORE_FP16", "avx512_bf16", True),
        ("AVX10_1_512", "avx512_bf16", True),
        ("AVX512_CORE_AMX", "amx", True),
        ("AVX10_1_512_AMX", "amx", True),
        ("DEFAULT", "amx", True),
        ("", "amx", True),
        ("NO_SUCH_SET", "none", False),
    ],
)
@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_what_onednn_is_told_not_to_exceed_counts(cpu, monkeypatch, variable, limit, bf16, avx512) -> None:
    """A limit in the environment decides over the CPU's flags, for bfloat16 and for the memory format."""
    cpu |= {"amx", "bf16", "avx512"}
    monkeypatch.setenv(variable, limit)
    assert cpu_bf16() == bf16
    assert (hardware.training_memory_format("cpu") is torch.channels_last) == avx512


@pytest.mark.parametrize("capability", ["AVX2", "DEFAULT", "NO AVX", "SVE256"])
def test_what_pytorch_is_told_to_use_counts(cpu, monkeypatch, capability) -> None:
    """Below AVX-512 in PyTorch's own kernels there is no fast bfloat16, and training is contiguous."""
    cpu |= {"amx", "bf16", "avx512"}
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert cpu_bf16() == "none"
    assert hardware.training_memory_format("cpu") is torch.contiguous_format


def test_training_on_a_cpu_without_avx512_is_contiguous(cpu) -> None:
    """There oneDNN's gradients in channels_last are wrong; on CUDA they are not oneDNN's."""
    assert hardware.training_memory_format("cpu") is torch.contiguous_format
    assert hardware.training_memory_format("cuda:1") is torch.channels_last


def test_bfloat16_is_known_to_an_older_pytorch_too(cpu, monkeypatch) -> None:
    """Where PyTorch has no function to ask, the CPU's flags are read."""
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx2", "avx512_bf16"}))
    assert cpu_bf16() == "avx512_bf16"


def test_a_gpu_that_is_not_there_has_no_fast_bfloat16(monkeypatch) -> None:
    """Asking about CUDA on a machine without it answers no, and raises nothing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not fast_bf16("cuda")
    assert not fast_bf16("cuda:1")
    assert not fast_bf16("mps")


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", 2**31), ("150000 100000", 2), ("50000 100000", 1)]
)
def test_a_containers_quota_limits_the_cores(tmp_path: Path, text, cores) -> None:
    """A quota of 1.5 cores allows two threads; no quota allows any number."""
    (tmp_path / "cpu.max").write_text(text, encoding="ascii")
    assert hardware._quota(tmp_path / "cpu.max") == cores


def test_no_more_cores_than_this_process_may_use(monkeypatch) -> None:
    """Affinity, physical cores and quota: the least of them counts."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(hardware.psutil, "cpu_count", lambda logical: 6)
    monkeypatch.setattr(hardware, "_quota", lambda: 2**31)
    assert usable_cores() == 6
    monkeypatch.setattr(hardware, "_quota", lambda: 3)
    assert usable_cores() == 3


def test_threads_asked_for_are_threads_used() -> None:
    """A number stands; 0 is all usable cores; a negative number is refused."""
    assert resolve_threads(3) == 3
    assert resolve_threads(0) == usable_cores()
    with pytest.raises(OptionError, match="got -1"):
        resolve_threads(-1)
