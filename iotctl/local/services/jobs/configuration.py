"""A job's configuration: read from a request, completed from a template, and checked.

Source: AWS IoT API reference, CreateJob; developer guide, create-manage-jobs, jobs-configurations and job-limits. What
the service model says of each member is checked before; here is what it does not say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid
from iotctl.local.services.jobs.document import LARGEST, MOST_PLACEHOLDERS, fetched, object_of, placeholders
from iotctl.semantics import rollout, schedule
from iotctl.semantics.rollout import RolloutError
from iotctl.semantics.schedule import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.store import Store

KEPT: Final = (
    "documentSource",
    "description",
    "presignedUrlConfig",
    "jobExecutionsRolloutConfig",
    "abortConfig",
    "timeoutConfig",
    "jobExecutionsRetryConfig",
    "destinationPackageVersions",
)
"""The members that jobs and templates share, beside the document."""

_MOST_PACKAGES: Final = 25


@dataclass(frozen=True, slots=True)
class Draft:
    """A document and a configuration before there is a job of them, or a template."""

    document: str
    configuration: Mapping[str, Any]


def draft(store: Store, given: Mapping[str, Any], basis: Draft | None = None) -> Draft:
    """The document and the configuration of a request, checked.

    Args:
        store: where objects of S3 are.
        given: the request's members; those that are absent or None are taken from the basis.
        basis: of a template, or of a job that a template is made of.

    Raises:
        AwsError: InvalidRequestException; ResourceNotFoundException for an object of S3 that is not there.

    """
    document, source = given.get("document"), given.get("documentSource")
    if document is not None and source is not None:
        raise invalid("document and documentSource cannot both be specified")
    if source is not None:
        document = fetched(store, source)
    elif document is not None and basis:
        basis = Draft("", {key: value for key, value in basis.configuration.items() if key != "documentSource"})
    if document is None:
        if basis is None:
            raise invalid("One of document, documentSource and jobTemplateArn must be specified")
        document = basis.document
    configuration = {**(basis.configuration if basis else {}), **stated(given)}
    check_document(document, configuration)
    check(configuration)
    return Draft(document, configuration)


def stated(given: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a configuration that a request has."""
    return {key: given[key] for key in (*KEPT, "schedulingConfig") if given.get(key) is not None}


def check(configuration: Mapping[str, Any]) -> None:
    """Check everything but the document and the times of the schedule.

    Raises:
        AwsError: InvalidRequestException.

    """
    try:
        rollout.rollout(configuration.get("jobExecutionsRolloutConfig"))
        rollout.abort_criteria(configuration.get("abortConfig"))
        rollout.in_progress_minutes(configuration.get("timeoutConfig"))
        rollout.retries(configuration.get("jobExecutionsRetryConfig"))
        schedule.schedule(configuration.get("schedulingConfig"))
    except (RolloutError, ScheduleError) as error:
        raise invalid(str(error)) from error
    if len(configuration.get("destinationPackageVersions", ())) > _MOST_PACKAGES:
        raise invalid(f"destinationPackageVersions cannot have more than {_MOST_PACKAGES} members")


def check_times(store: Store, configuration: Mapping[str, Any]) -> None:
    """Check that a schedule begins and ends neither too soon nor too late from now.

    Raises:
        AwsError: InvalidRequestException.

    """
    times = schedule.schedule(configuration.get("schedulingConfig"))
    try:
        schedule.check(times, datetime.fromtimestamp(store.now(), UTC))
    except ScheduleError as error:
        raise invalid(str(error)) from error


def check_document(document: str, configuration: Mapping[str, Any]) -> None:
    """Check a document: a JSON object, not too large, its placeholders URLs of S3 that a role may read.

    Raises:
        AwsError: InvalidRequestException.

    """
    if len(document.encode()) > LARGEST:
        raise invalid(f"The job document cannot be larger than {LARGEST} bytes")
    try:
        content = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise invalid("The job document is not valid JSON") from error
    if not isinstance(content, dict):
        raise invalid("The job document must be a JSON object")
    urls = placeholders(document)
    if len(urls) > MOST_PLACEHOLDERS:
        raise invalid(f"The job document cannot have more than {MOST_PLACEHOLDERS} placeholders")
    for url in urls:
        if object_of(url) is None:
            raise invalid(f"The placeholder of a presigned URL does not hold the URL of an S3 object: {url}")
    if urls and not configuration.get("presignedUrlConfig", {}).get("roleArn"):
        raise invalid("presignedUrlConfig.roleArn must be specified: the job document has presigned URLs")
