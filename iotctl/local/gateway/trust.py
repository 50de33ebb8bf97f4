"""Which client certificates TLS lets in: OpenSSL's trust directory, for certificates of CAs that nobody knows.

`RegisterCertificateWithoutCA` registers leaves; Python's `ssl` has no verify callback. But OpenSSL takes a leaf as its
own trust anchor (X509_V_FLAG_PARTIAL_CHAIN), and looks trust anchors up by subject in a directory of files named
`<subject hash>.<n>`, also while the server runs. A certificate once seen stays in OpenSSL's memory until its context
goes, so TLS only refuses strangers: whether a certificate is ACTIVE is asked at CONNECT.
"""

from __future__ import annotations

import ssl
import weakref
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MQTT_ALPN = "x-amzn-mqtt-ca"


class NamedSSLObject(ssl.SSLObject):
    """A server's side of TLS that knows whom its client asked for (SNI); Python's own forgets it."""

    server_name = ""


def _named(tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    if isinstance(tls, NamedSSLObject):
        tls.server_name = name or ""


class TrustDirectory:
    """The registered certificates, CAs and leaves, as OpenSSL looks them up.

    Args:
        directory: holds one small file for each certificate; made if it is not there.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._contexts: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()
        self._subjects = {path.name.partition(".")[0] for path in directory.glob("*.*")}

    def context(
        self, certificate: Path, key: Path, *, required: bool = True, alpn: tuple[str, ...] = (MQTT_ALPN,)
    ) -> ssl.SSLContext:
        """A server's TLS context that trusts this directory.

        Args:
            certificate: the server's certificate chain (PEM).
            key: its private key (PEM).
            required: refuse clients without a certificate.
            alpn: the protocols to offer; a client that asks for none of them, or for nothing, is served all the same.

        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(capath=self._directory)
        # Without tickets every connection shows its certificate, and none costs the memory of a session.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.sslobject_class = NamedSSLObject
        context.sni_callback = _named
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self._contexts.add(context)
        return context

    def add(self, certificate: bytes) -> None:
        """Trust a certificate (DER) from now on; twice is once."""
        subject = _subject_hash(certificate)
        pem = ssl.DER_cert_to_PEM_cert(certificate)
        number = 0
        while (path := self._directory / f"{subject}.{number}").exists():
            if path.read_text() == pem:
                return
            number += 1
        _write(path, pem)
        if subject in self._subjects:
            # OpenSSL looks into the directory only for subjects that it does not have in memory: a second certificate
            # of one subject (a rotation) must be handed to the running servers.
            for context in self._contexts:
                context.load_verify_locations(cadata=certificate)
        self._subjects.add(subject)

    def remove(self, certificate: bytes) -> None:
        """Trust a certificate (DER) no more, in contexts that have not met it; unknown ones are no error."""
        subject = _subject_hash(certificate)
        pem = ssl.DER_cert_to_PEM_cert(certificate)
        paths: list[Path] = []
        while (path := self._directory / f"{subject}.{len(paths)}").exists():
            paths.append(path)
        for path in paths:
            if path.read_text() == pem:
                if path != paths[-1]:
                    paths[-1].replace(path)  # OpenSSL stops at the first number that is missing
                else:
                    path.unlink()
                return


def certificate_id(certificate: bytes) -> str:
    """AWS's certificate id of a certificate (DER): the sha256 of it, 64 hex digits."""
    return sha256(certificate).hexdigest()


def _subject_hash(certificate: bytes) -> str:
    from OpenSSL import crypto

    return f"{crypto.load_certificate(crypto.FILETYPE_ASN1, certificate).subject_name_hash():08x}"


def _write(path: Path, pem: str) -> None:
    """Write a file whole or not at all: OpenSSL may be reading."""
    draft = path.with_name(f"new-{path.name}")
    draft.write_text(pem)
    draft.replace(path)
