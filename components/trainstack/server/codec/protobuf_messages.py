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
        "GetModelMetadataRequest": "one ModelSpec model_spec 1, many string metadata_field 2",
        # Of `google.protobuf.Any`.
        "Any": "one string type_url 1, one bytes value 2",
        "GetModelMetadataResponse": "one ModelSpec model_spec 1, map Any metadata 2",
        "GetModelStatusRequest": "one ModelSpec model_spec 1",
        "StatusProto": "one int32 error_code 1, one string error_message 2",
        "ModelVersionStatus": "one int64 version 1, one int32 state 2, one StatusProto status 3",
        "GetModelStatusResponse": "many ModelVersionStatus model_version_status 1",
    },
    INFERENCE: {
        "ServerLiveRequest": "",
        "ServerLiveResponse": "one bool live 1",
        "ServerReadyRequest": "",
        "ServerReadyResponse": "one bool ready 1",
        "ModelReadyRequest": "one string name 1, one string version 2",
        "ModelReadyResponse": "one bool ready 1",
        "ServerMetadataRequest": "",
        "ServerMetadataResponse": "one string name 1, one string version 2, many string extensions 3",
        "ModelMetadataRequest": "one string name 1, one string version 2",
        "TensorMetadata": "one string name 1, one string datatype 2, many int64 shape 3",
        "ModelMetadataResponse": (
            "one string name 1, many string versions 2, one string platform 3, many TensorMetadata inputs 4, "
            "many TensorMetadata outputs 5"
        ),
        "InferParameter": (
            "choice bool bool_param 1, choice int64 int64_param 2, choice string string_param 3, "
            "choice double double_param 4, choice uint64 uint64_param 5"
        ),
        "InferTensorContents": (
            "many bool bool_contents 1, many int32 int_contents 2, many int64 int64_contents 3, "
            "many uint32 uint_contents 4, many uint64 uint64_contents 5, many float fp32_contents 6, "
            "many double fp64_contents 7, many bytes bytes_contents 8"
        ),
        "InferTensor": (
            "one string name 1, one string datatype 2, many int64 shape 3, map inference.InferParameter parameters 4, "
            "one InferTensorContents contents 5"
        ),
        "RequestedOutput": "one string name 1, map inference.InferParameter parameters 2",
        "ModelInferRequest": (
            "one string model_name 1, one string model_version 2, one string id 3, "
            "map inference.InferParameter parameters 4, many InferTensor inputs 5, many RequestedOutput outputs 6, "
            "many bytes raw_input_contents 7"
        ),
        "ModelInferResponse": (
            "one string model_name 1, one string model_version 2, one string id 3, many InferTensor outputs 5, "
            "many bytes raw_output_contents 6"
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
    for declaration in filter(None, fields.split(", ")):
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
