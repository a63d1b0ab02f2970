"""A provider that knows a schema and nothing else, for `terraform validate` and `terraform test`.

Terraform takes it for hashicorp/aws. With `mock_provider` it is never asked to make anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from schema import Block
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

ADDRESS = "registry.terraform.io/hashicorp/aws"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@contextmanager
def serving(schema: Block, folder: Path) -> Iterator[dict[str, str]]:
    """Serve the schema; yields the environment that lets Terraform find it, without `init`."""
    server = grpc.server(futures.ThreadPoolExecutor(8), options=UNLIMITED)
    rpc.add_ProviderServicer_to_server(Provider(schema), server)
    socket = folder / "provider"
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield {"TF_REATTACH_PROVIDERS": json.dumps({ADDRESS: {
            "Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True,
            "Addr": {"Network": "unix", "String": str(socket)},
        }})}  # fmt: skip
    finally:
        server.stop(None).wait()


class Provider(rpc.ProviderServicer):
    """The part of Terraform's plugin protocol 6 that needs no AWS."""

    def __init__(self, schema: Block) -> None:
        self.schema = pb.GetProviderSchema.Response(
            provider=message(schema["provider"]),
            resource_schemas={kind: message(found) for kind, found in schema["resources"].items()},
            data_source_schemas={kind: message(found) for kind, found in schema["data"].items()},
        )

    def GetProviderSchema(self, request: object, context: object) -> Any:
        return self.schema

    def ValidateProviderConfig(self, request: object, context: object) -> Any:
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: object, context: object) -> Any:
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request: object, context: object) -> Any:
        return pb.ValidateDataResourceConfig.Response()

    def StopProvider(self, request: object, context: object) -> Any:
        return pb.StopProvider.Response()


def message(block: Block) -> Any:
    return pb.Schema(version=1, block=block_message(block))


def block_message(block: Block) -> Any:
    nesting = pb.Schema.NestedBlock.NestingMode
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(name=name, **{**found, "type": json.dumps(found["type"]).encode()})
            for name, found in block["attributes"].items()
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=block_message(found["block"]),
                nesting=nesting.Value(found["nesting"]),
                min_items=found["min"],
                max_items=found["max"],
            )
            for name, found in block["blocks"].items()
        ],
    )
