"""What OpenVINO leaves of the thread that compiles a model."""

import ctypes
import sys
from pathlib import Path

import pytest

from centerx.runtime import open_session
from centerx.runtime.signal_stack import _Stack


def signal_stack() -> tuple[int | None, int, int]:
    stack = _Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    return stack.pointer, stack.flags, stack.size


@pytest.mark.skipif(sys.platform != "linux", reason="signal stacks are kept on Linux alone")
def test_a_model_of_openvino_leaves_the_signal_stack_as_it_was(onnx_file: Path) -> None:
    before = signal_stack()
    session = open_session(onnx_file, "openvino")
    assert session.info.class_names
    assert signal_stack() == before
