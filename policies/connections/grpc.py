"""A blocking gRPC client that knows no message types: bytes go out, bytes come back, and nothing is waited for without a limit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vlagym.envs.errors import BadData, BadReply, MissingPackage, PolicyTimeout, PolicyUnreachable
from vlagym.policies.connections.address import refuse_login
from vlagym.policies.connections.limits import Limits
from vlagym.policies.foreign import told, without_query

_SILENT = ("UNAVAILABLE", "CANCELLED")
"""Codes of a server that is not there, or goes away."""


class GrpcConnection:
    """A channel to one server, without encryption, opened with the first call and again after it was closed."""

    def __init__(self, address: str, limits: Limits) -> None:
        """Makes a client; nothing is contacted.

        Args:
          address: host:port.
          limits: How long it waits, and how large an answer may be.

        Raises:
          BadData: If the address is none.
        """
        refuse_login(address)
        host, colon, port = address.rpartition(":")
        if not colon or not host or set("/?#") & set(host) or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadData(f"{without_query(address)!r} is no address of a gRPC server: write host:port")
        self.address, self.limits = address, limits
        self._channel: Any = None

    def open(self) -> None:
        """Connects, if that was not done.

        Raises:
          PolicyUnreachable: If nobody takes the connection in time.
          MissingPackage: Without grpcio.
        """
        if self._channel is not None:
            return
        grpc = _grpc()
        options = [("grpc.max_receive_message_length", self.limits.max_bytes), ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.insecure_channel(self.address, options=options)
        try:
            grpc.channel_ready_future(channel).result(timeout=self.limits.connect_timeout_s)
        except grpc.FutureTimeoutError as error:
            channel.close()
            wait = f"{self.limits.connect_timeout_s:g} s (option connect_timeout=S)"
            raise PolicyUnreachable(f"nobody speaks gRPC at {self.address} within {wait}: is the server up, and the address right?") from error
        self._channel = channel

    def ask(self, path: str, messages: Iterable[bytes] | bytes, *, timeout_s: float, option: str = "timeout") -> bytes:
        """Calls a method and returns its answer.

        Args:
          path: "/package.Service/Method".
          messages: The request; several for a method that takes a stream.
          timeout_s: How long it is waited for.
          option: Which option sets that limit, for the error.

        Raises:
          PolicyUnreachable: If the server is not there, or goes away. The channel is closed then.
          PolicyTimeout: If it does not answer in time. The channel is closed then.
          BadReply: If it answers with an error, or with more than is allowed. The channel is closed then.
        """
        self.open()
        grpc = _grpc()
        try:
            if isinstance(messages, bytes):
                answer = self._channel.unary_unary(path)(messages, timeout=timeout_s)
            else:
                answer = self._channel.stream_unary(path)(iter(messages), timeout=timeout_s)
        except grpc.RpcError as error:
            self.close()
            code, said = error.code().name, told(error.details() or "no reason given", keep="end")
            if code == "DEADLINE_EXCEEDED":
                raise PolicyTimeout(f"{self.address} has not answered {path} within {timeout_s:g} s (option {option}=S)") from error
            if code in _SILENT:
                raise PolicyUnreachable(f"the connection to {self.address} was lost ({said})") from error
            if code == "RESOURCE_EXHAUSTED" and "larger than max" in said:
                size = self.limits.max_bytes / 2**20
                raise BadReply(f"{self.address} sent more than {size:g} MiB (option max_mib=N); it was not read") from error
            raise BadReply(f"{self.address} answers {path} with the error {code}: {said}") from error
        result: bytes = answer
        return result

    def close(self) -> None:
        """Closes the channel, if there is one."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _grpc() -> Any:
    try:
        import grpc
    except ImportError as missing:
        raise MissingPackage("servers that speak gRPC need: pip install 'vlagym[grpc]'") from missing
    return grpc
