"""A device's CSR: how it is made, and everything for which an operator refuses to sign one."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from iotctl import pki
from iotctl.errors import Integrity
from iotctl.pki import certificates as x509
from iotctl.pki import requests

AUTHORITY = pki.Authority.create("a test's own CA")
BEFORE = AUTHORITY.issue("pump").certificate_pem


def test_a_good_one_is_taken() -> None:
    """The key is the CSR's, the name the thing's, also one that is longer than a common name may be."""
    for name in ("pump", "p" * 128):
        key, csr = requests.create(name, "ec-p256")
        requests.verify(csr, name, key_type="ec-p256", before=BEFORE)
        signed = AUTHORITY.sign(csr, common_name=name)
        assert x509.key_matches(key, signed.certificate_pem.encode())
    stronger = requests.of_key(ec.generate_private_key(ec.SECP384R1()), "pump")
    requests.verify(stronger, "pump", key_type="ec-p256", before=BEFORE)


def _with_another_signature() -> str:
    _, csr = requests.create("pump", "ec-p256")
    der = bytearray(base64.b64decode("".join(csr.splitlines()[1:-1])))
    der[-5] ^= 1
    body = base64.b64encode(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"


def _of_the_old_key() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = requests.of_key(key, "pump")
    return csr, AUTHORITY.sign(csr, common_name="pump").certificate_pem


SAME, BEFORE_SAME = _of_the_old_key()


@pytest.mark.parametrize(
    ("csr", "key_type", "before", "code"),
    [
        (_with_another_signature(), "ec-p256", BEFORE, "CsrSignature"),
        (requests.of_key(rsa.generate_private_key(65537, 1024), "pump"), "rsa-2048", BEFORE, "CsrKey"),
        (requests.of_key(ec.generate_private_key(ec.SECP224R1()), "pump"), "ec-p256", BEFORE, "CsrKey"),
        (requests.of_key(rsa.generate_private_key(65537, 2048), "pump"), "ec-p256", BEFORE, "CsrKey"),
        (requests.create("pump", "ec-p256")[1], "ec-p384", BEFORE, "CsrKey"),
        (requests.create("another", "ec-p256")[1], "ec-p256", BEFORE, "CsrName"),
        (requests.create("pumps", "ec-p256")[1], "ec-p256", BEFORE, "CsrName"),
        (SAME, "ec-p256", BEFORE_SAME, "CsrSameKey"),
        (BEFORE, "ec-p256", BEFORE, "CsrUnreadable"),
        ("", "ec-p256", BEFORE, "CsrUnreadable"),
    ],
)
def test_a_bad_one_is_refused(csr: str, key_type: str, before: str, code: str) -> None:
    """Another signature, a key that is weak or weaker than asked for, another name, the same key again, no CSR."""
    with pytest.raises(Integrity) as caught:
        requests.verify(csr, "pump", key_type=key_type, before=before)
    assert code == caught.value.code
