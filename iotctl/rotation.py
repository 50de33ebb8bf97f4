"""What an operator and a device say to each other when a certificate is replaced by a new one; pure.

    job document   {"operation":"rotate-certificate","rotation":ID,"shadow":"iotctl-certificate","keyType":"ec-p256"}
    reported       {"rotation":ID,"state":"requested","csr":PEM}
    desired        {"rotation":ID,"certificate":PEM,"certificateId":SHA256,"attempt":TOKEN}
    reported       {"rotation":ID,"state":"renewed","csr":null,"certificateId":SHA256,"attempt":TOKEN}

The device makes a new key, which never leaves it, and puts its CSR (the common name is the thing's name) into the named
shadow. It keeps the certificate that comes back beside the one that it has, connects with it, makes it the one that
counts once that has gone well, and reports; then its job has succeeded. An attempt that it has not answered yet asks a
device that has the certificate already to connect with it once more: the operator wants to see that with its own eyes.
A device that cannot do it reports {"rotation":ID,"state":"failed","reason":TEXT}, and its job has failed.

A shadow document has at most 8 KB: a certificate and a CSR of an RSA key of 4096 bits have 4 KB together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATION: Final = "rotate-certificate"
SHADOW: Final = "iotctl-certificate"
REQUESTED: Final = "requested"
RENEWED: Final = "renewed"
FAILED: Final = "failed"
LARGEST: Final = 8192
"""Bytes of a CSR or a certificate that are read at all: as many as a shadow has."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a job document asks for.

    Attributes:
        rotation: the id of the run; the same for all devices of it, and when it is gone on with.
        key_type: the kind of key that is wanted: one that is at least as strong will do.

    """

    rotation: str
    key_type: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Order | None:
        """The order of a job document; None: it is no such document, or one of another protocol."""
        rotation, key_type = document.get("rotation"), document.get("keyType")
        known = (document.get("operation"), document.get("shadow")) == (OPERATION, SHADOW)
        if not (known and isinstance(rotation, str) and isinstance(key_type, str)):
            return None
        return cls(rotation, key_type) if rotation.isalnum() and len(rotation) <= 64 else None

    def document(self) -> dict[str, str]:
        """The job document."""
        return {"operation": OPERATION, "rotation": self.rotation, "shadow": SHADOW, "keyType": self.key_type}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A certificate on its way to its device; `attempt` tells one delivery of it from the next."""

    rotation: str
    certificate_pem: str
    certificate_id: str
    attempt: str

    @classmethod
    def of(cls, desired: Mapping[str, Any]) -> Delivery | None:
        """What `desired` brings; None: no certificate."""
        values = [desired.get(key) for key in ("rotation", "certificate", "certificateId", "attempt")]
        texts = [value for value in values if isinstance(value, str) and 0 < len(value) <= LARGEST]
        return cls(*texts) if len(texts) == len(values) else None

    def desired(self) -> dict[str, str]:
        """The patch of `desired`."""
        return {
            "rotation": self.rotation,
            "certificate": self.certificate_pem,
            "certificateId": self.certificate_id,
            "attempt": self.attempt,
        }

    def renewed(self) -> dict[str, str | None]:
        """The patch of `reported`, once the device has connected with it."""
        return {
            "rotation": self.rotation,
            "state": RENEWED,
            "csr": None,
            "reason": None,
            "certificateId": self.certificate_id,
            "attempt": self.attempt,
        }


def requested(rotation: str, csr_pem: str) -> dict[str, str | None]:
    """The patch of `reported` that asks for a certificate."""
    return {"rotation": rotation, "state": REQUESTED, "csr": csr_pem, "reason": None}


def failed(rotation: str, reason: str) -> dict[str, str | None]:
    """The patch of `reported` of a device that cannot do it."""
    return {"rotation": rotation, "state": FAILED, "csr": None, "reason": reason}
