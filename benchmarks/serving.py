"""A server under load: 100 clients for a minute, each asking again once it is answered; writes results/serving.csv.

python benchmarks/serving.py
"""

from __future__ import annotations

import io
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.request import urlopen

from PIL import Image

from centerx.build_model import build_detector, model_info
from centerx.config import load_config
from centerx.exporting import export_model
from centerx.exporting.parity import synthetic_images

from rows import Row, command_line, in_ms, rows, show, write

RESULTS = Path(__file__).parent / "results" / "serving.csv"
PRESET, SIDE = "nano", 320  # pixels
PICTURE_HW = (480, 640)
CLIENTS, SECONDS = 100, 60


def main() -> None:
    measured = measure()
    show(measured)
    write(RESULTS, measured)
    print(f"rows: {RESULTS}")


def measure() -> list[Row]:
    """Start a server of an untrained model, load it, and ask it for its own count."""
    with tempfile.TemporaryDirectory() as folder, serving(export(Path(folder) / "model.onnx")) as address:
        ask(address, picture(), time.monotonic())  # a first one, which is always slower
        started = time.monotonic()
        end = started + SECONDS
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(ask, address, picture(), end) for _ in range(CLIENTS)]
        lasted = time.monotonic() - started
        spent = sorted(seconds for client in clients for seconds in client.result()[0])
        failures = sum(client.result()[1] for client in clients)
        metrics = urlopen(f"http://{address}/metrics").read().decode()
    count, pictures = (float(re.findall(rf"centerx_batch_size_{what} (\S+)", metrics)[0]) for what in ("count", "sum"))
    figure = f"server, {PRESET}, {SIDE} px, {CLIENTS} clients, {SECONDS} s"
    requests = len(spent) + failures
    return [
        *rows(figure, {"answered": len(spent), "failed": failures}, "requests", requests),
        *rows(figure, {"throughput": len(spent) / lasted}, "requests/s", requests),
        *rows(
            figure, in_ms({"median": statistics.median(spent), "p99": spent[99 * len(spent) // 100]}), "ms", requests
        ),
        *rows(figure, {"mean batch": pictures / count}, "pictures", requests),
    ]


def ask(address: str, content: bytes, end: float) -> tuple[list[float], int]:
    """Send a picture again and again, at least once; seconds of each answer, and how many requests had none."""
    spent: list[float] = []
    failures = 0
    with closing(HTTPConnection(address, timeout=120)) as connection:
        while not (spent or failures) or time.monotonic() < end:
            started = time.perf_counter()
            try:
                connection.request("POST", "/predict", content, {"Content-Type": "image/jpeg"})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, HTTPException):
                connection.close()
                status = 0
            if status == 200:
                spent.append(time.perf_counter() - started)
            else:
                failures += 1
    return spent, failures


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """The address of a server process of its own."""
    command = [sys.executable, "-m", "centerx", "serve", str(model), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield re.findall(r"http://(\S+),", process.stdout.readline())[0]
        finally:
            process.terminate()


def export(path: Path) -> Path:
    """Write a freshly initialised model as ONNX."""
    config = load_config(PRESET, ["classes=['0', '1', '2']", f"data.input_size={SIDE}"])
    export_model(build_detector(config).eval(), model_info(config), path, "onnx")
    return path


def picture() -> bytes:
    """A JPEG of painted shapes."""
    stream = io.BytesIO()
    Image.fromarray(synthetic_images(1, PICTURE_HW)[0].transpose(1, 2, 0)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    main()
