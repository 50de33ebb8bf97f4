"""A real connection with the device's own key and certificate, over mutual TLS.

It does not take the device's client id unless that is asked for: AWS IoT has one connection of a client id, and throws
the older one off; the session that it keeps for a client id would end with ours, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iotctl.errors import Auth, Error, Temporary
from iotctl.onboard.doctor.check import Check, ok, problem, unknown

if TYPE_CHECKING:
    from iotctl.onboard.doctor.held import Held
    from iotctl.onboard.doctor.reach import Place

STRANGER: Final = "iotctl-doctor-"
"""What begins a client id that no device has."""

_ABOVE: Final = "mend what the checks above found; aws logs tail AWSIotLogsV2 has AWS's own word on it"


def connect(held: Held, place: Place, key: bytes, client_id: str, *, allowed: bool) -> Check:
    """Connect, and disconnect at once.

    Args:
        held: the bundle.
        place: the endpoint.
        key: the private key (PEM), not encrypted.
        client_id: the thing's name, or one that no device has.
        allowed: whether the policies allow that client id.

    """
    from iotctl.mqtt import Connection

    try:
        with Connection.device(
            place.endpoint,
            place.port,
            client_id,
            certificate=held.certificate_file,
            key=key,
            ca_file=held.ca_file,
        ):
            pass
    except Auth as error:
        return refused(error, client_id, allowed=allowed)
    except Temporary as error:
        detail = f"{error.message}{f' ({error.cause})' if error.cause else ''}"
        return problem("connection", detail, _ABOVE)
    except (Error, OSError) as error:
        return unknown("connection", str(error))
    return ok("connection", f"connected as {client_id}")


def refused(error: Auth, client_id: str, *, allowed: bool) -> Check:
    """What a refusal says: that of a client id which the policies do not allow says that all else is right."""
    if error.code == "ConnectRefused" and not allowed:
        detail = f"the certificate is taken; as {client_id} it is refused, as its policies say"
        return ok("connection", f"{detail} (--connect tries its own client id, and throws it off if it is connected)")
    return problem("connection", f"{error.message}{f' ({error.cause})' if error.cause else ''}", _ABOVE)
