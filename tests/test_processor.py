"""What is known of the processor decides in which precision a CPU computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from centerx import processor
from centerx.bench import machine
from centerx.runtime.compute import PLAIN, Compute
from centerx.training.processes import Processes

INTEL, AMD = "GenuineIntel", "AuthenticAMD"


@pytest.fixture
def tell(tmp_path: Path):
    def tell(vendor: str, flags: str) -> Path:
        path = tmp_path / "cpuinfo"
        cores = (
            f"processor\t: {core}\nvendor_id\t: {vendor}\nmodel name\t: A : B\nflags\t\t: fpu {flags}\n\n"
            for core in (0, 1)
        )
        path.write_text("".join(cores), encoding="utf-8")
        return path

    return tell


@pytest.mark.parametrize(
    ("vendor", "flags", "slow"),
    [
        (INTEL, "avx512f avx512_bf16 avx512_fp16", True),
        (INTEL, "avx512f avx512_bf16 amx_bf16 amx_tile", False),
        (INTEL, "avx512f avx512_vnni", False),  # does not know it at all
        (AMD, "avx512f avx512_bf16", False),
    ],
)
def test_bfloat16_of_avx512_alone_is_slow_on_intels(tell, vendor: str, flags: str, slow: bool) -> None:
    assert processor.is_slow_in_bf16(tell(vendor, flags)) == slow


def test_without_the_file_nothing_is_known(tmp_path: Path) -> None:
    assert not processor.is_slow_in_bf16(tmp_path / "missing")


def test_facts_are_read_by_name(tell) -> None:
    assert processor.facts(tell(AMD, "x")) == {
        "processor": "1", "vendor_id": AMD, "model name": "A : B", "flags": "fpu x"
    }  # fmt: skip


def test_the_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centerx.bench.facts", lambda: {"model name": "A processor"})
    assert machine().startswith("A processor, ")
    monkeypatch.setattr("centerx.bench.facts", dict)
    assert machine().endswith(" cores")


@pytest.mark.parametrize(("known", "slow", "bf16"), [(True, False, True), (True, True, False), (False, False, False)])
def test_a_training_chooses_bf16_where_it_saves_time(
    monkeypatch: pytest.MonkeyPatch, known: bool, slow: bool, bf16: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: known)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr("centerx.training.processes.is_slow_in_bf16", lambda: slow)
    processes = Processes.detect("cpu")
    assert processes.use_bf16("auto") == bf16
    assert processes.use_bf16("bf16")
    assert not processes.use_bf16("fp32")


def test_openvino_computes_halves_in_fp32_where_bfloat16_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    ov = pytest.importorskip("openvino")
    from centerx.runtime import openvino as runtime

    monkeypatch.setattr(runtime, "is_slow_in_bf16", lambda: True)
    put = ov.opset13.parameter([1, 3], np.float32)
    compiled = runtime._compiled(ov.Model([ov.opset13.relu(put)], [put]), False, PLAIN)
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32


@pytest.mark.parametrize(
    ("device", "exact", "slow", "told"),
    [("CPU", False, True, True), ("CPU", False, False, False), ("GPU", False, True, False), ("GPU", True, False, True)],
)
def test_a_slow_processor_says_nothing_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, exact: bool, slow: bool, told: bool
) -> None:
    pytest.importorskip("openvino")
    from centerx.runtime import openvino as runtime

    class Core:
        available_devices = "CPU", "GPU"

        def compile_model(self, model: object, device: str, settings: dict[str, object]) -> dict[str, object]:
            return settings

    monkeypatch.setattr(runtime.ov, "Core", Core)
    monkeypatch.setattr(runtime, "is_slow_in_bf16", lambda: slow)
    settings = runtime._compiled(None, exact, Compute.of(None, device))  # type: ignore[arg-type]
    assert ("INFERENCE_PRECISION_HINT" in settings) == told  # type: ignore[operator]
