"""Which extra of the package brings a module that the core install lacks."""

EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "lightning": "train",
    "timm": "train",
    "omegaconf": "train",
    "safetensors": "train",
    "faster_coco_eval": "train",
    "matplotlib": "train",
    "tensorboard": "train",
    "onnx": "export",
    "onnxscript": "export",
    "onnxslim": "export",
    "openvino": "openvino",
    "ncnn": "ncnn",
    "pnnx": "ncnn",
    "sklearn": "demo",
    "supervision": "supervision",
}
