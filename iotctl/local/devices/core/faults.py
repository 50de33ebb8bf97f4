"""Why a deployment failed, in the nucleus' own words: an error stack and the kinds of errors in it.

Source: the developer guide's troubleshooting-deployment page ("Detailed deployment error codes").
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

LONGEST: Final = 1024
"""Characters of a value in the status details of a job execution."""


class Status(StrEnum):
    """How a deployment ended: `detailed-deployment-status` in a job, `detailedStatus` in a shadow."""

    SUCCESSFUL = "SUCCESSFUL"
    NO_STATE_CHANGE = "FAILED_NO_STATE_CHANGE"
    ROLLBACK_NOT_REQUESTED = "FAILED_ROLLBACK_NOT_REQUESTED"
    ROLLED_BACK = "FAILED_ROLLBACK_COMPLETE"
    UNABLE_TO_ROLLBACK = "FAILED_UNABLE_TO_ROLLBACK"
    REJECTED = "REJECTED"

    @property
    def word(self) -> str:
        """The status of the job execution, and of the shadow."""
        return {Status.SUCCESSFUL: "SUCCEEDED", Status.REJECTED: "REJECTED"}.get(self, "FAILED")


class Code(StrEnum):
    """One step down the error stack."""

    STALE = "REJECTED_STALE_DEPLOYMENT"
    CAPABILITIES = "NUCLEUS_MISSING_REQUIRED_CAPABILITIES"
    CIRCULAR = "COMPONENT_CIRCULAR_DEPENDENCY_ERROR"
    NO_VERSION = "NO_AVAILABLE_COMPONENT_VERSION"
    REQUIREMENTS = "COMPONENT_VERSION_REQUIREMENTS_NOT_MET"
    ACCESS = "ACCESS_DENIED"
    BAD_REQUEST = "BAD_REQUEST"
    DOCUMENT = "DEPLOYMENT_DOCUMENT_NOT_VALID"
    RECIPE = "RECIPE_PARSE_ERROR"
    PLUGIN = "CUSTOM_PLUGIN_NOT_SUPPORTED"
    DOCKER = "DOCKER_ERROR"
    RUN_WITH = "RUN_WITH_CONFIG_NOT_VALID"
    CREDENTIALS = "CREDENTIAL_ENDPOINT_AUTH_FAILURE"
    DOWNLOAD = "ARTIFACT_DOWNLOAD_ERROR"
    CHECKSUM = "ARTIFACT_CHECKSUM_MISMATCH"
    ARTIFACT_URI = "ARTIFACT_URI_NOT_VALID"
    NOT_FOUND = "S3_GET_OBJECT_RESOURCE_NOT_FOUND"
    FORBIDDEN = "S3_GET_OBJECT_ACCESS_DENIED"
    UNZIP = "IO_UNZIP_ERROR"
    DISK = "DISK_SPACE_CRITICAL"
    WRITE = "IO_WRITE_ERROR"
    BROKEN = "COMPONENT_BROKEN"
    UPDATE = "COMPONENT_UPDATE_ERROR"


_TYPES: Final = {
    Code.CAPABILITIES: "REQUEST_ERROR",
    Code.CIRCULAR: "REQUEST_ERROR",
    Code.REQUIREMENTS: "REQUEST_ERROR",
    Code.ACCESS: "PERMISSION_ERROR",
    Code.BAD_REQUEST: "NUCLEUS_ERROR",
    Code.DOCUMENT: "CLOUD_SERVICE_ERROR",
    Code.RECIPE: "COMPONENT_RECIPE_ERROR",
    Code.PLUGIN: "USER_COMPONENT_ERROR",
    Code.DOCKER: "DEPENDENCY_ERROR",
    Code.RUN_WITH: "REQUEST_ERROR",
    Code.CREDENTIALS: "PERMISSION_ERROR",
    Code.CHECKSUM: "COMPONENT_RECIPE_ERROR",
    Code.ARTIFACT_URI: "COMPONENT_RECIPE_ERROR",
    Code.NOT_FOUND: "REQUEST_ERROR",
    Code.FORBIDDEN: "PERMISSION_ERROR",
    Code.UNZIP: "DEVICE_ERROR",
    Code.DISK: "DEVICE_ERROR",
    Code.WRITE: "DEVICE_ERROR",
    Code.BROKEN: "USER_COMPONENT_ERROR",
    Code.UPDATE: "USER_COMPONENT_ERROR",
}


class Failed(Exception):
    """A deployment cannot go on.

    Attributes:
        message: why, for a person; of no secret.
        codes: the error stack below DEPLOYMENT_FAILURE, the outermost first.

    """

    def __init__(self, message: str, *codes: Code) -> None:
        super().__init__(message)
        self.message = message
        self.codes = codes

    @property
    def types(self) -> list[str]:
        """The kinds of errors in the stack."""
        return list(dict.fromkeys(_TYPES[code] for code in self.codes if code in _TYPES))


class Rejected(Failed):
    """A deployment that is not begun: the core has a newer one."""


class Offline(Exception):
    """The cloud cannot be reached, or is busy: the same will work later."""
