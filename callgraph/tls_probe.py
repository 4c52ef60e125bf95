"""What TLS says of a listener, by a handshake of our own: librdkafka only says that it failed. Shell: sockets.

In: HOST:PORT and the TLS settings. Out: why the certificate is not accepted, or whether TLS is spoken at all.
Source: RFC 8446, RFC 6125; the texts are OpenSSL's X509_verify_cert_error_string.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

from callgraph.settings import TlsSettings

_SECONDS = 2.0


def why_untrusted(server: str, tls: TlsSettings) -> str:
    """Return why the certificate of a server is not accepted; empty: it is, or the server does not answer."""
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    context.check_hostname = tls.check_hostname
    with contextlib.suppress(OSError):
        try:
            _shake_hands(server, context)
        except ssl.SSLCertVerificationError as error:
            return error.verify_message.rstrip(".")
    return ""


def speaks_tls(server: str) -> bool:
    """Tell whether a server answers a TLS handshake, whoever it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        _shake_hands(server, context)
    except OSError:
        return False
    return True


def _shake_hands(server: str, context: ssl.SSLContext) -> None:
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    with (
        socket.create_connection((host, int(port)), timeout=_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host),
    ):
        pass
