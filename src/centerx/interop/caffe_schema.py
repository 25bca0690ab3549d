"""The messages of Caffe that are written here, with the field numbers of its `caffe.proto` (BVLC, 2020)."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

# Message -> field -> its number and type. A star marks repeated fields; a tuple is an enumeration, counted from 0.
# Lists of a convolution with one value for all axes are plain numbers here; the encoded bytes are the same.
MESSAGES: dict[str, dict[str, tuple[int, str | tuple[str, ...]]]] = {
    "BlobShape": {"dim": (1, "int64*")},
    "BlobProto": {"data": (5, "float*"), "shape": (7, "BlobShape")},
    "InputParameter": {"shape": (1, "BlobShape*")},
    "ConcatParameter": {"axis": (2, "int32")},
    "ConvolutionParameter": {
        "num_output": (1, "uint32"),
        "bias_term": (2, "bool"),
        "pad": (3, "uint32"),
        "kernel_size": (4, "uint32"),
        "group": (5, "uint32"),
        "stride": (6, "uint32"),
        "pad_h": (9, "uint32"),
        "pad_w": (10, "uint32"),
        "kernel_h": (11, "uint32"),
        "kernel_w": (12, "uint32"),
        "stride_h": (13, "uint32"),
        "stride_w": (14, "uint32"),
        "dilation": (18, "uint32"),
    },
    "EltwiseParameter": {"operation": (1, ("PROD", "SUM", "MAX")), "coeff": (2, "float*")},
    "PoolingParameter": {
        "pool": (1, ("MAX", "AVE")),
        "kernel_size": (2, "uint32"),
        "stride": (3, "uint32"),
        "pad": (4, "uint32"),
        "kernel_h": (5, "uint32"),
        "kernel_w": (6, "uint32"),
        "stride_h": (7, "uint32"),
        "stride_w": (8, "uint32"),
        "pad_h": (9, "uint32"),
        "pad_w": (10, "uint32"),
        "global_pooling": (12, "bool"),
    },
    "PowerParameter": {"power": (1, "float"), "scale": (2, "float"), "shift": (3, "float")},
    "ReLUParameter": {"negative_slope": (1, "float")},
    "ScaleParameter": {"axis": (1, "int32"), "bias_term": (4, "bool")},
    "SliceParameter": {"slice_point": (2, "uint32*"), "axis": (3, "int32")},
    "LayerParameter": {
        "name": (1, "string"),
        "type": (2, "string"),
        "bottom": (3, "string*"),
        "top": (4, "string*"),
        "blobs": (7, "BlobProto*"),
        "concat_param": (104, "ConcatParameter"),
        "convolution_param": (106, "ConvolutionParameter"),
        "eltwise_param": (110, "EltwiseParameter"),
        "pooling_param": (121, "PoolingParameter"),
        "power_param": (122, "PowerParameter"),
        "relu_param": (123, "ReLUParameter"),
        "slice_param": (126, "SliceParameter"),
        "scale_param": (142, "ScaleParameter"),
        "input_param": (143, "InputParameter"),
    },
    "NetParameter": {"name": (1, "string"), "layer": (100, "LayerParameter*")},
}
PACKED = {("BlobShape", "dim"), ("BlobProto", "data")}


def _message(name: str, fields: dict[str, tuple[int, str | tuple[str, ...]]]) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for field, (number, kind) in fields.items():
        entry = message.field.add(name=field, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
        if isinstance(kind, tuple):
            entry.type, entry.type_name = FieldDescriptorProto.TYPE_ENUM, f".caffe.{name}.{field}_values"
            values = message.enum_type.add(name=f"{field}_values").value
            for place, value in enumerate(kind):
                values.add(name=value, number=place)
            continue
        if kind.endswith("*"):
            entry.label = FieldDescriptorProto.LABEL_REPEATED
        single = kind.rstrip("*")
        if single in MESSAGES:
            entry.type, entry.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".caffe.{single}"
        else:
            entry.type = getattr(FieldDescriptorProto, f"TYPE_{single.upper()}")
        if (name, field) in PACKED:
            entry.options.packed = True
    return message


FILE = FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
FILE.message_type.extend(_message(*each) for each in MESSAGES.items())
POOL = DescriptorPool()
POOL.Add(FILE)
NetParameter = GetMessageClass(POOL.FindMessageTypeByName("caffe.NetParameter"))
