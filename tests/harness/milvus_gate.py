"""A door before Milvus Lite, which has none: TLS, and a token, as a Milvus server with authentication asks for them."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc


class _Gate(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, milvus: str, token: str) -> None:
        self._channel = grpc.insecure_channel(milvus, [("grpc.max_receive_message_length", -1)])
        self._expected = base64.b64encode(token.encode()).decode()
        self.let_in = 0
        self.refused = 0

    def service(self, handler_call_details: Any) -> Any:
        known = dict(handler_call_details.invocation_metadata).get("authorization") == self._expected
        forward = self._channel.unary_unary(handler_call_details.method)

        def handle(request: bytes, context: Any) -> bytes:
            if not known:
                self.refused += 1
                # To the letter what Milvus' proxy answers (internal/proxy/authentication_interceptor.go).
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure, please check api key is correct")
            self.let_in += 1
            try:
                return bytes(forward(request, timeout=30))
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
                raise

        return grpc.unary_unary_rpc_method_handler(handle)


@contextmanager
def gate(milvus: str, token: str, certificates: Path, *, ask_client: bool = False) -> Iterator[tuple[str, _Gate]]:
    """The address of a door before the Milvus at `host:port`, and its counts of who was let in."""
    handler = _Gate(milvus, token)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler], options=[("grpc.max_receive_message_length", -1)])
    credentials = grpc.ssl_server_credentials(
        [((certificates / "server.key").read_bytes(), (certificates / "server.pem").read_bytes())],
        (certificates / "ca.pem").read_bytes() if ask_client else None,
        ask_client,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"https://localhost:{port}", handler
    finally:
        server.stop(0).wait()
