"""Where a certificate says that the list of its CA's revoked certificates is."""

from __future__ import annotations

from cryptography import x509

from iotctl.errors import Usage


def revocation_list_urls(pem: str) -> tuple[str, ...]:
    """The URLs of a PEM certificate's CRL distribution points (RFC 5280, 4.2.1.13); none: it names no such list.

    Raises:
        Usage: it is not a certificate.

    """
    try:
        points = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(
            x509.CRLDistributionPoints
        )
    except x509.ExtensionNotFound:
        return ()
    except ValueError as error:
        raise Usage("this is not a PEM certificate that can be read", code="CertificateUnreadable") from error
    names = [name for point in points.value for name in point.full_name or ()]
    return tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
