"""``ExportTraceServiceRequest`` with bytes instead of strings: the same on the wire, without UTF-8 checks.

The generated classes refuse a whole request for one byte that is no UTF-8, and anyone who can get such a byte into one
statement would blind us to all that travels with it.
"""

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor

_FILES: Final = (common_pb2, resource_pb2, trace_pb2, trace_service_pb2)
_TEXT: Final = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_BYTES: Final = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES


def _without_texts(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type == _TEXT:
            field.type = _BYTES
    for nested in message.nested_type:
        _without_texts(nested)


def _request_class() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for module in _FILES:
        file = descriptor_pb2.FileDescriptorProto()
        cast("FileDescriptor", module.DESCRIPTOR).CopyToProto(file)
        for message in file.message_type:
            _without_texts(message)
        pool.Add(file)  # type: ignore[no-untyped-call]
    name = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR.full_name
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


Request: Final = _request_class()
"""A message class; every text field of it and below holds bytes."""
