"""How far networks are from what the processor can do: their FLOP/s over those of a matrix product, in one run.

A matrix product of the same precision and threads is the limit of arithmetic, copying an array that of memory. In fp32
it is ONNX Runtime's, as that of torch has half its speed on some processors; in bf16 it is torch's. Counted
are the multiplications and additions of convolutions alone, from pixels to maps. Each call is timed in turn with the
matrix product. The picture has each network by backend, and each convolution of `n` and `r18` by itself in torch: its
operations a byte of input, weights and output, and its FLOP/s. Writes results/roofline.csv and the picture.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from matplotlib.figure import Figure
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from centerx.bench import machine, median_seconds
from centerx.build_model import build_detector
from centerx.config import load_config

from inference import export
from rows import command_line

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "roofline.png"
NETWORKS = "n", "nano", "r18"
LAYERS = "n", "r18"
HW = 256, 256
SIDE = 2048  # of the matrices
COPIED = 1 << 26  # float32 values
RUNS = 9


class Row(NamedTuple):
    """A network in a backend.

    Attributes:
        network: the preset.
        backend: what ran it.
        precision: of its arithmetic, and of the matrix product.
        batch: pictures a call.
        gflop: operations a picture, in thousand millions.
        gflops: reached, thousand millions a second.
        product: of the matrix product, in turn with it.
        share: of the two.
        threads: of both.
        machine: processor and cores.
    """

    network: str
    backend: str
    precision: str
    batch: int
    gflop: float
    gflops: float
    product: float
    share: float
    threads: int
    machine: str


class Layer(NamedTuple):
    """A convolution: operations a byte, and its FLOP/s."""

    kind: str
    intensity: float
    gflops: float


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    rows = [row for name in NETWORKS for batch in args.batches for row in measure(name, batch, args.threads)]
    layers = {name: measure_layers(name, max(args.batches)) for name in LAYERS}
    table = Table(title=rows[0].machine)
    for column in Row._fields[:-1]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(value) for value in row[:-1]))
    Console().print(table)
    with (RESULTS / "roofline.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([Row._fields, *rows])
    product = max(row.product for row in rows if row.precision == "fp32")
    draw(layers, product, copied_bytes_a_second()).savefig(PICTURE, dpi=100)


@torch.inference_mode()
def measure(name: str, batch: int, threads: int) -> list[Row]:
    """Time a network in every backend, each in turn with a matrix product."""
    config = load_config(name, [f"data.input_size={list(HW)}", "classes=[a, b, c]", "model.pretrained=false"])
    model = build_detector(config).model.eval().to(memory_format=torch.channels_last)
    pictures = torch.rand(batch, 3, *HW).to(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter:
        model(pictures)
    operations = counter.get_total_flops()
    raw = np.random.default_rng(0).integers(0, 256, (batch, 3, *HW), dtype=np.uint8)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = export(config, Path(folder) / "bare.onnx", decode=False)
        calls: dict[tuple[str, str], Callable[[], object]] = {
            ("torch", "fp32"): partial(model, pictures),
            ("ONNX Runtime", "fp32"): onnxruntime_call(file, raw, threads),
            ("OpenVINO", "fp32"): openvino_call(file, raw, threads, "f32"),
            ("OpenVINO", "bf16"): openvino_call(file, raw, threads, "bf16"),
        }
        for (backend, precision), call in calls.items():
            product_call = matrix_product(Path(folder) / "product.onnx", precision, threads)
            seconds = median_seconds({"network": call, "product": product_call}, RUNS)
            reached, product = operations / seconds["network"] / 1e9, 2 * SIDE**3 / seconds["product"] / 1e9
            rows.append(
                Row(
                    name, backend, precision, batch, round(operations / batch / 1e9, 3), round(reached, 1),
                    round(product, 1), round(reached / product, 3), threads, machine(),
                )
            )  # fmt: skip
    return rows


def matrix_product(file: Path, precision: str, threads: int) -> Callable[[], object]:
    """A product of two matrices, in fp32 by a file of ONNX Runtime, which is written."""
    if precision == "bf16":
        return partial(torch.mm, *(torch.rand(SIDE, SIDE).to(torch.bfloat16) for _ in range(2)))
    left, right = np.random.default_rng(0).random((2, SIDE, SIDE), dtype=np.float32)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in ("left", "product")]
    node = helper.make_node("MatMul", ["left", "right"], ["product"])
    graph = helper.make_graph([node], "product", ends[:1], ends[1:], [numpy_helper.from_array(right, "right")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return onnxruntime_call(file, left, threads)


def onnxruntime_call(file: Path, pictures: np.ndarray, threads: int) -> Callable[[], object]:
    """A call of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {session.get_inputs()[0].name: pictures})


def openvino_call(file: Path, pictures: np.ndarray, threads: int, precision: str) -> Callable[[], object]:
    """A call of OpenVINO."""
    words = {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision,
    }  # fmt: skip
    request = openvino.Core().compile_model(file, "CPU", words).create_infer_request()
    return partial(request.infer, [pictures])


@torch.inference_mode()
def measure_layers(name: str, batch: int) -> list[Layer]:
    """Time each convolution of a network by itself, in torch."""
    config = load_config(name, [f"data.input_size={list(HW)}", "classes=[a, b, c]", "model.pretrained=false"])
    model = build_detector(config).model.eval().to(memory_format=torch.channels_last)
    seen: dict[tuple[object, ...], tuple[nn.Module, torch.Tensor]] = {}

    def keep(module: nn.Module, given: tuple[torch.Tensor, ...], _: object) -> None:
        seen.setdefault((repr(module), given[0].shape), (module, given[0].clone()))

    convolutions = [each for each in model.modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [each.register_forward_hook(keep) for each in convolutions]
    model(torch.rand(batch, 3, *HW).to(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    layers = []
    for module, given in seen.values():
        with FlopCounterMode(display=False) as counter:
            result = module(given)
        moved = 4 * (given.numel() + result.numel() + sum(each.numel() for each in module.parameters()))
        seconds = median_seconds({"": partial(module, given)}, RUNS)[""]
        operations = counter.get_total_flops()
        layers.append(Layer(kind_of(module), operations / moved, operations / seconds / 1e9))
    return layers


def kind_of(module: nn.Module) -> str:
    """Depthwise, grouped, 1 x 1 or larger."""
    assert isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    if module.groups > 1:
        return "depthwise" if module.groups == module.in_channels else "grouped"
    return "1 x 1" if module.kernel_size == (1, 1) else "larger"


def copied_bytes_a_second() -> float:
    """Bytes that are read and written a second."""
    one, other = torch.rand(COPIED), torch.empty(COPIED)
    return 2 * 4 * COPIED / median_seconds({"": partial(other.copy_, one)}, RUNS)[""]


def draw(layers: dict[str, list[Layer]], product: float, bandwidth: float) -> Figure:
    """FLOP/s over operations a byte, a panel for each network, below the roof of memory and arithmetic."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for panel, (name, each) in zip(figure.subplots(1, len(layers), sharey=True), layers.items(), strict=True):
        x = np.geomspace(0.1, 1000, 100)
        panel.loglog(x, np.minimum(x * bandwidth / 1e9, product), color="grey")
        for kind in dict.fromkeys(layer.kind for layer in each):
            some = [layer for layer in each if layer.kind == kind]
            panel.loglog([s.intensity for s in some], [s.gflops for s in some], "o", markersize=4, label=kind)
        panel.set(title=f"{name}, convolutions in torch", xlabel="operations a byte", ylabel="GFLOP/s")
        panel.label_outer()
        panel.legend()
    return figure


if __name__ == "__main__":
    main()
