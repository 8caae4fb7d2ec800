"""An OTLP receiver made of the official protos: prints each span it is sent as one JSON line.

The first line says where it listens, `http=PORT grpc=PORT`. It ends when its stdin does.
"""

import http.server
import json
import os
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service_grpc
from opentelemetry.proto.trace.v1 import trace_pb2 as trace

PRINTING = threading.Lock()


def plain(attributes):
    values = {}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        values[attribute.key] = getattr(attribute.value, kind) if kind else None
    return values


def describe(span, protocol, resource):
    return {
        "protocol": protocol,
        "service": resource.get("service.name"),
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "name": span.name,
        "kind": trace.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": plain(span.attributes),
        "events": [{"name": e.name, "time": e.time_unix_nano, "attributes": plain(e.attributes)} for e in span.events],
        "links": [{"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()} for link in span.links],
        "status": trace.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        "message": span.status.message,
    }


def report(request, protocol):
    for resource_spans in request.resource_spans:
        resource = plain(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                with PRINTING:
                    print(json.dumps(describe(span, protocol, resource)), flush=True)
    return service.ExportTraceServiceResponse()


class OverGrpc(service_grpc.TraceServiceServicer):
    def Export(self, request, context):
        return report(request, "grpc")


class OverHttp(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
            self.send_error(404)
            return
        answer = report(service.ExportTraceServiceRequest.FromString(body), "http").SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    over_http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OverHttp)
    threading.Thread(target=over_http.serve_forever, daemon=True).start()
    over_grpc = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    service_grpc.add_TraceServiceServicer_to_server(OverGrpc(), over_grpc)
    grpc_port = over_grpc.add_insecure_port("127.0.0.1:0")
    over_grpc.start()
    print(f"http={over_http.server_port} grpc={grpc_port}", flush=True)
    sys.stdin.read()
    os._exit(0)
