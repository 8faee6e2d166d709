"""The protocol buffers that requests and files come in, declared when they are needed.

Generated code is bound to one release of protobuf, and serving environments have several (4 with TensorFlow 2.15, 7
with 2.21). Fields that nobody here reads are left out: protobuf passes over them. The declarations follow
tensorflow/core/framework/tensor.proto, tensorflow_serving/apis/*.proto and KServe's open_inference_grpc.proto.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TENSORFLOW, SERVING, INFERENCE = "tensorflow", "tensorflow.serving", "inference"

# Package to message to its fields: how often, type, name and number; a field of a choice has that one's name first.
_DECLARATIONS: dict[str, dict[str, str]] = {
    TENSORFLOW: {
        "TensorShapeProto.Dim": "one int64 size 1",
        "TensorShapeProto": "many Dim dim 2, one bool unknown_rank 3",
        "TensorProto": (
            "one int32 dtype 1, one TensorShapeProto tensor_shape 2, one bytes tensor_content 4, many float float_val 5"
            ", many double double_val 6, many int32 int_val 7, many bytes string_val 8, many int64 int64_val 10, "
            "many bool bool_val 11, many int32 half_val 13, many uint32 uint32_val 16, many uint64 uint64_val 17"
        ),
    },
    SERVING: {
        "Version": "one int64 value 1",
        "ModelSpec": (
            "one string name 1, version_choice Version version 2, version_choice string version_label 4, "
            "one string signature_name 3"
        ),
        "PredictRequest": (
            "one ModelSpec model_spec 1, map tensorflow.TensorProto inputs 2, many string output_filter 3"
        ),
        "PredictResponse": "map tensorflow.TensorProto outputs 1, one ModelSpec model_spec 2",
        # An Example is kept as its bytes: the model parses it.
        "ExampleList": "many bytes examples 1",
        "ExampleListWithContext": "many bytes examples 1, one bytes context 2",
        "Input": "kind ExampleList example_list 1, kind ExampleListWithContext example_list_with_context 2",
        "ExamplesRequest": "one ModelSpec model_spec 1, one Input input 2",
        "ExamplesLog": "one ExamplesRequest request 1",
        "PredictLog": "one PredictRequest request 1",
        "PredictionLog": (
            "log_type ExamplesLog classify_log 2, log_type ExamplesLog regress_log 3, log_type PredictLog predict_log 6"
        ),
    },
}


def message(package: str, name: str) -> Any:
    """The class of a message.

    Args:
        package: `TENSORFLOW`, `SERVING` or `INFERENCE`.
        name: Its name in there.
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{package}.{name}"))


@functools.cache
def _pool() -> Any:
    # One of their own: TensorFlow has declared some of these names in the process's default one.
    pool = descriptor_pool.DescriptorPool()
    before: list[str] = []
    for package, messages in _DECLARATIONS.items():
        file = descriptor_pb2.FileDescriptorProto(
            name=f"{package}.proto", package=package, syntax="proto3", dependency=before
        )
        for name, fields in messages.items():
            outer, _, inner = name.partition(".")
            if inner:
                # Declared before the message that it is in.
                _declare(file.message_type.add(name=outer).nested_type.add(name=inner), package, outer, fields)
                continue
            declared = next((entry for entry in file.message_type if entry.name == name), None)
            _declare(declared or file.message_type.add(name=name), package, "", fields)
        pool.Add(file)
        before.append(file.name)
    return pool


def _declare(declared: Any, package: str, outer: str, fields: str) -> None:
    full_name = f"{package}.{outer}.{declared.name}" if outer else f"{package}.{declared.name}"
    nested = {entry.name for entry in declared.nested_type}
    for declaration in fields.split(", "):
        label, kind, name, number = declaration.split()
        field = declared.field.add(name=name, number=int(number))
        field.label = field.LABEL_REPEATED if label in ("many", "map") else field.LABEL_OPTIONAL
        if label == "map":
            entry = declared.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
            entry.options.map_entry = True
            _declare(entry, package, declared.name, f"one string key 1, one {kind} value 2")
            field.type, field.type_name = field.TYPE_MESSAGE, f".{full_name}.{entry.name}"
        elif hasattr(field, f"TYPE_{kind.upper()}") and kind.islower():
            field.type = getattr(field, f"TYPE_{kind.upper()}")
        else:
            place = full_name if kind in nested else package
            field.type, field.type_name = field.TYPE_MESSAGE, f".{kind}" if "." in kind else f".{place}.{kind}"
        if label not in ("one", "many", "map"):
            choices = [choice.name for choice in declared.oneof_decl]
            if label not in choices:
                declared.oneof_decl.add(name=label)
                choices.append(label)
            field.oneof_index = choices.index(label)
