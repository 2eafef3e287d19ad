"""OTLP's trace messages whose spans are left as bytes: most spans are like one that came before, but for ids and times.

Reading a span field by field costs more than encoding it. Everything above spans is as in OpenTelemetry's own messages.
"""

from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.trace.v1 import trace_pb2

_PACKAGE: Final = "spanflow.otlp.lazy"
#: `ResourceSpans`, in which `spans` are bytes.
LazyResourceSpans: TypeAlias = Any


def _message_class() -> Any:
    """`TracesData`, which has the bytes of `ExportTraceServiceRequest`."""
    file = FileDescriptorProto.FromString(trace_pb2.DESCRIPTOR.serialized_pb)
    original = f".{file.package}."
    file.name, file.package = "spanflow/otlp/lazy.proto", _PACKAGE
    for field in (field for message in file.message_type for field in message.field):
        if field.type_name == f"{original}Span":
            field.type = FieldDescriptorProto.TYPE_BYTES
            field.ClearField("type_name")
    for message in file.message_type:
        for field in (*message.field, *(field for nested in message.nested_type for field in nested.field)):
            if field.type_name.startswith(original):
                field.type_name = f".{_PACKAGE}.{field.type_name.removeprefix(original)}"
    pool = descriptor_pool.Default()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.TracesData"))


#: Spans are not looked at when a message is read: read it with OpenTelemetry's own as well where it may be malformed.
LazyTraces: Final = _message_class()
