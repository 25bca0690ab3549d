"""centerX: train, distil, merge and ship CenterNet object detectors.

    import centerx

    detector = centerx.load("model.onnx")
    detections = detector("picture.jpg")

Importing this package, and running an exported model with it, needs no torch.
"""

from centerx.errors import InputError
from centerx.runtime import load
from centerx.types import Detections

__version__ = "0.1.0"

__all__ = ["Detections", "InputError", "__version__", "load"]
