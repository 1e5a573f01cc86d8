"""TLS: a socket is secured within a limited time, and a failure says whether the other side speaks it at all."""

from __future__ import annotations

import socket
import ssl

from vlagym.policies.connections.limits import Deadline
from vlagym.policies.foreign import told

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "UNEXPECTED_MESSAGE")
"""Reasons of OpenSSL for what comes from a server that answers in the clear."""
ALERT = b"\x15\x03"
"""How a record begins by which a server of TLS refuses what is no TLS (RFC 8446, 5.1)."""


def secured(plain: socket.socket, host: str, deadline: Deadline) -> ssl.SSLSocket:
    """Returns the socket after a TLS handshake in which the certificate was checked; closes it where that fails.

    Raises:
      OSError: If the handshake fails or takes too long; `failure` says why.
    """
    plain.settimeout(max(0.001, deadline.left_s()))
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise


def failure(error: BaseException, url: str, plain_scheme: str) -> str:
    """Returns what went wrong in a handshake of TLS, as a sentence that says what to do.

    Args:
      error: What was raised by it.
      url: Of the server.
      plain_scheme: Of the same protocol without TLS: "http" or "ws".
    """
    reason = getattr(error, "reason", None) or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {url} is not trusted ({told(error.verify_message)})"
    if isinstance(error, TimeoutError):
        return f"who takes the connection at {url} shakes no hands of TLS in time: is it the right port? Without TLS, write {plain_scheme}://…"
    if reason in _NO_TLS:
        return f"who answers at {url} speaks no TLS: write {plain_scheme}://…"
    if isinstance(error, (ssl.SSLEOFError, ConnectionError)) or reason == "UNEXPECTED_EOF_WHILE_READING":
        return f"who answers at {url} hangs up when TLS begins, as a server does that speaks no TLS: write {plain_scheme}://…"
    return f"TLS fails at {url} ({told(error)})" if str(error) else f"TLS fails at {url} ({type(error).__name__})"
