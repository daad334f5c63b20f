"""The arithmetic that training rests on is right, in the memory format and precision that it chooses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pruning_core.system.hardware import cpu_bf16, cpu_uses_avx512

SCRIPT = Path(__file__).parents[1] / "helpers" / "convolution_arithmetic.py"

LIMITS: dict[str, dict[str, str]] = {"as it is": {}}
"""Each in a process of its own; not those that this CPU is within already."""

if cpu_uses_avx512():
    LIMITS["AVX2"] = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
if cpu_bf16() != "none":
    LIMITS["AVX-512 without bfloat16"] = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}


def check(*arguments: str, limit: str) -> list[str]:
    """Run the script, limited to an instruction set; return what it printed, and how it ended if badly."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        # Passive: threads that spin would wait for the cores of the tests beside.
        env={
            **os.environ,
            "PYTHONPATH": str(SCRIPT.parents[2]),
            "OMP_WAIT_POLICY": "PASSIVE",
            **LIMITS[limit],
        },
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    said = done.stdout.splitlines()
    if done.returncode != 0:
        said.append(f"ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return said


@pytest.mark.slow
@pytest.mark.timeout(2000)
@pytest.mark.parametrize(
    ("limit", "precision"), [("as it is", "fp32"), *((limit, "auto") for limit in LIMITS)]
)
@pytest.mark.parametrize("threads", ["1", "2"])
def test_convolutions_are_right(limit, precision, threads):
    """Outputs and gradients of random convolutions agree with float64, and none brings the process down."""
    assert check("convolutions", threads, "--precision", precision, limit=limit) == ["checked 150"]


@pytest.mark.slow
@pytest.mark.timeout(2000)
@pytest.mark.parametrize("limit", [limit for limit in LIMITS if "bfloat16" not in limit])
def test_a_whole_training_step_is_right(limit):
    """Every gradient of a step of the ResNet-18 of ratio 0.9, batch 32, agrees with float64."""
    assert check("step", "2", limit=limit) == ["checked 62"]
