"""The job templates that AWS manages: described, listed, and the jobs that are made of them.

Each runs one handler of AWS IoT Device Client. Sources: AWS IoT developer guide, job-templates-managed and
job-template-manage-cli-create; API reference, DescribeManagedJobTemplate and CreateJob.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid, not_found, operation
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.store import Store

VERSION: Final = "1.0"
_NAMED: Final = re.compile(r"arn:aws:iot:(?P<region>[a-z0-9-]+)::jobtemplate/(?P<name>[A-Za-z-]+):(?P<version>[0-9.]+)")
_PARAMETER: Final = re.compile(r"\$\{aws:iot:parameter:([A-Za-z0-9:_-]+)\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input of a template; `pattern` is matched as a whole."""

    key: str
    description: str
    example: str
    pattern: str = "(.*?)"
    optional: bool = False

    def to_json(self) -> dict[str, Any]:
        """The parameter as AWS describes it."""
        return {
            "key": self.key,
            "description": self.description,
            "regex": self.pattern,
            "example": self.example,
            "optional": self.optional,
        }


_ALWAYS: Final = (
    Parameter(
        "runAsUser", "The user that runs the handler; else the device client's own.", "user1", "(.){0,256}", True
    ),
    Parameter(
        "pathToHandler",
        "Where the handler is on the device; else the device client's own directory.",
        "/path/to/handler/script",
        "(.){0,4096}",
        True,
    ),
)
_URL: Final = Parameter("downloadUrl", "The URL of the file.", "http://www.example.com/index.html")
_FILE: Final = Parameter("filePath", "Where the file is written on the device.", "/path/to/file")
_PACKAGES: Final = Parameter("packages", "Packages, with spaces between.", "python3-pip gcc")
_SERVICES: Final = Parameter("services", "Services, with spaces between.", "nginx redis")


@dataclass(frozen=True, slots=True)
class Managed:
    """A template: what it does, the handler that does it, and what that is given."""

    description: str
    handler: str
    asks: tuple[Parameter, ...] = ()

    def document(self, name: str) -> str:
        """The job document, its parameters open."""
        given = {"args": [_open(one.key) for one in self.asks]} if self.asks else {}
        act = {
            "name": name.removeprefix("AWS-"),
            "type": "runHandler",
            "input": {"handler": self.handler, **given, "path": _open("pathToHandler")},
            "runAsUser": _open("runAsUser"),
        }
        return json.dumps({"version": VERSION, "steps": [{"action": act}]}, separators=(",", ":"))


TEMPLATES: Final = {
    "AWS-Download-File": Managed("for downloading a file", "download-file.sh", (_URL, _FILE)),
    "AWS-Install-Application": Managed("for installing one or more applications", "install-packages.sh", (_PACKAGES,)),
    "AWS-Reboot": Managed("for rebooting the device", "reboot.sh"),
    "AWS-Remove-Application": Managed("for uninstalling one or more applications", "remove-packages.sh", (_PACKAGES,)),
    "AWS-Restart-Application": Managed("for restarting one or more services", "restart-services.sh", (_SERVICES,)),
    "AWS-Start-Application": Managed("for starting one or more services", "start-services.sh", (_SERVICES,)),
    "AWS-Stop-Application": Managed("for stopping one or more services", "stop-services.sh", (_SERVICES,)),
}
"""By name, in the order of names."""


@operation("iot:DescribeManagedJobTemplate")
def describe_managed_job_template(store: Store, templateName: str, templateVersion: str = VERSION) -> dict[str, Any]:
    """What a template holds."""
    found = TEMPLATES.get(templateName)
    if found is None or templateVersion != VERSION:
        raise not_found(f"Managed job template {templateName} of version {templateVersion} cannot be found")
    return {
        **_summary(store, templateName, found),
        "documentParameters": [one.to_json() for one in (*found.asks, *_ALWAYS)],
        "document": found.document(templateName),
    }


@operation("iot:ListManagedJobTemplates")
def list_managed_job_templates(
    store: Store,
    templateName: str | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
) -> dict[str, Any]:
    """All templates, or the one that is named."""
    names = json.dumps([name for name in TEMPLATES if templateName in {None, name}])
    select = "SELECT value AS name FROM json_each(?)"
    rows, token = page(store, select, [names], by=("name",), size=maxResults, token=nextToken)
    found = [_summary(store, row["name"], TEMPLATES[row["name"]]) for row in rows]
    return {"managedJobTemplates": found, "nextToken": token}


def is_managed(arn: str) -> bool:
    """Whether an ARN is that of a template of AWS's: it names no account."""
    return _NAMED.fullmatch(arn) is not None


def open_document(store: Store, arn: str) -> tuple[str, str]:
    """The job document of a template with its parameters open, and its description.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    named = _NAMED.fullmatch(arn)
    found = TEMPLATES.get(named["name"]) if named else None
    if named is None or found is None or named["version"] != VERSION or named["region"] != store.region:
        raise not_found(f"Job template {arn} cannot be found")
    return found.document(named["name"]), _described(found)


def filled(arn: str, document: str, given: Mapping[str, str]) -> str:
    """The document with its parameters; one that is optional and not given is an empty text.

    Raises:
        AwsError: InvalidRequestException: one is missing, unknown or not as it must be.

    """
    known = {one.key: one for one in (*TEMPLATES[_name(arn)].asks, *_ALWAYS)}
    for key, value in given.items():
        if key not in known:
            raise invalid(f"The job template {arn} has no parameter {key}")
        if not re.fullmatch(known[key].pattern, value):
            raise invalid(f"The value of the parameter {key} does not match {known[key].pattern}")
    missing = [key for key, one in known.items() if not one.optional and key not in given]
    if missing:
        raise invalid(f"The job template {arn} needs the parameters {', '.join(missing)}")
    return _PARAMETER.sub(lambda found: json.dumps(given.get(found[1], ""))[1:-1], document)


def _name(arn: str) -> str:
    named = _NAMED.fullmatch(arn)
    assert named is not None
    return named["name"]


def _open(key: str) -> str:
    return f"${{aws:iot:parameter:{key}}}"


def _described(found: Managed) -> str:
    return f"A managed job template {found.description}."


def _summary(store: Store, name: str, found: Managed) -> dict[str, Any]:
    return {
        "templateArn": f"arn:aws:iot:{store.region}::jobtemplate/{name}:{VERSION}",
        "templateName": name,
        "description": _described(found),
        "environments": ["LINUX"],
        "templateVersion": VERSION,
    }
