"""By what a registry is known over https: SEAMESH_REGISTRY_FINGERPRINT, SEAMESH_CA_FILE, else as the machine has it."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
from collections.abc import Mapping

from seamesh.errors import Unauthorized


def connection(
    host: str, port: int | None, *, timeout_s: float, environ: Mapping[str, str] = os.environ
) -> http.client.HTTPSConnection:
    """A connection that is opened with its first request, and only to a registry that is trusted.

    Raises:
        Unauthorized: for settings that cannot be used. Once it is opened: for a certificate that is not trusted.
    """
    fingerprint = environ.get("SEAMESH_REGISTRY_FINGERPRINT")
    if fingerprint:
        return _Pinned(host, port, timeout_s, _digest(fingerprint))
    ca_file = environ.get("SEAMESH_CA_FILE") or None
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Unauthorized(f"SEAMESH_CA_FILE {ca_file}: {error}") from error
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def _digest(text: str) -> bytes:
    digits = text.removeprefix("SHA256:").replace(":", "")
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise Unauthorized(
            "SEAMESH_REGISTRY_FINGERPRINT is SHA256: and 64 hexadecimal digits, as the registry prints it"
        )
    return digest


class _Pinned(http.client.HTTPSConnection):
    """Goes on with one certificate and no other: no name, no date and no authority counts."""

    def __init__(self, host: str, port: int | None, timeout_s: float, digest: bytes) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, timeout=timeout_s, context=context)
        self._digest = digest

    def connect(self) -> None:
        super().connect()
        assert isinstance(self.sock, ssl.SSLSocket)
        shown = hashlib.sha256(self.sock.getpeercert(binary_form=True) or b"").digest()
        if shown != self._digest:
            self.close()
            raise Unauthorized(
                f"the registry at {self.host} is not trusted: it shows the certificate SHA256:{shown.hex()}, "
                f"not SHA256:{self._digest.hex()}"
            )
