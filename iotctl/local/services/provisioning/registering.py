"""What a template wants is registered: the certificate, the policies, the thing, and what binds them.

On AWS a workflow calls the operations one after the other; here all of it is one transaction, so what fails leaves
nothing behind. Source: AWS IoT developer guide, provision-template ("Override settings"). Where it does not say what
becomes of what is there: a thing that differs is refused, as CreateThing refuses it; a certificate gets the status of
the template, unless it was revoked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import (
    AwsError,
    attributes,
    certificates,
    group_members,
    invalid,
    issued_certificates,
    operation,
    policies,
    policy_attachments,
    principals,
    things,
)
from iotctl.local.services.billing_groups import add_thing_to_billing_group
from iotctl.local.services.provisioning import templates
from iotctl.semantics.intrinsics import TemplateError
from iotctl.semantics.provisioning import Kind, Override
from iotctl.semantics.registration import Certificate, Policy, Thing, evaluate

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store
    from iotctl.semantics.registration import Registration

_LONGEST_CSR: Final = 4096


@dataclass(slots=True)
class Registered:
    """What is there now: ARNs by logical name, the certificate's PEM, and the name of the thing."""

    arns: dict[str, str] = field(default_factory=dict)
    certificate_pem: str | None = None
    thing_name: str | None = None


@operation("iot:RegisterThing")
def register_thing(store: Store, templateBody: str, parameters: dict[str, str] | None = None) -> dict[str, Any]:
    """Register what a template wants with these parameters."""
    template = templates.read(templateBody, Kind.REGISTRATION)
    try:
        wanted = evaluate(template, parameters or {})
    except TemplateError as error:
        raise invalid(f"Invalid registration template. {error}") from error
    done = register(store, wanted)
    return {"certificatePem": done.certificate_pem, "resourceArns": done.arns}


def register(store: Store, wanted: Registration) -> Registered:
    """Register all that is wanted, or nothing of it.

    Raises:
        AwsError: ResourceRegistrationFailureException, with the reason.

    """
    done = Registered()
    try:
        with store.attempt():
            principal = _certificate(store, wanted.certificate, done) if wanted.certificate else None
            for policy in wanted.policies:
                _policy(store, policy, principal, done)
            if wanted.thing:
                _thing(store, wanted.thing, done)
            if wanted.thing and wanted.certificate and principal:
                principals.attach_thing_principal(
                    store, wanted.thing.name, principal, wanted.certificate.principal_type
                )
    except AwsError as error:
        message = f"Register thing workflow execution terminates due to: {error.message}"
        raise AwsError("ResourceRegistrationFailureException", message) from error
    return done


def _certificate(store: Store, wanted: Certificate, done: Registered) -> str:
    """The ARN of the certificate, which has the status that is wanted."""
    if wanted.csr:
        if len(wanted.csr) > _LONGEST_CSR:
            raise invalid(f"CertificateSigningRequest is longer than {_LONGEST_CSR} characters")
        made = certificates.create_certificate_from_csr(store, wanted.csr, wanted.status == "ACTIVE")
        identity = str(made["certificateId"])
    else:
        row = certificates.of_pem(store, wanted.pem) if wanted.pem else certificates.known(store, wanted.certificate_id)
        if row is None:
            made = issued_certificates.register_certificate(
                store, wanted.pem, wanted.ca_pem or None, status=wanted.status
            )
            identity = str(made["certificateId"])
        else:
            identity = str(row["id"])
            _status(store, row, wanted)
    arn = certificates.arn_of(store, identity)
    done.arns[wanted.logical_name] = arn
    done.certificate_pem = str(certificates.known(store, identity)["pem"])
    return arn


def _status(store: Store, row: sqlite3.Row, wanted: Certificate) -> None:
    """The status of a certificate that is there already."""
    if wanted.override is Override.FAIL:
        raise _conflict(f"certificate {row['id']}")
    pending = row["status"] == "PENDING_ACTIVATION"  # made for this registration: no setting keeps it so
    if wanted.override is Override.DO_NOTHING and not pending:
        return
    if row["status"] == "REVOKED" and wanted.override is not Override.REPLACE:
        raise AwsError("CertificateStateException", f"The certificate {row['id']} is REVOKED")
    certificates.update_certificate(store, row["id"], wanted.status)


def _policy(store: Store, wanted: Policy, principal: str | None, done: Registered) -> None:
    if wanted.document and not policies.exists(store, wanted.name):
        policies.create_policy(store, wanted.name, wanted.document)
    policies.known(store, wanted.name)
    done.arns[wanted.logical_name] = policies.listed(store, wanted.name)["policyArn"]
    if principal:
        policy_attachments.attach_policy(store, wanted.name, principal)


def _thing(store: Store, wanted: Thing, done: Registered) -> None:
    found = things.find(store, wanted.name)
    if found is None:
        payload = None if wanted.attributes is None else {"attributes": dict(wanted.attributes)}
        things.create_thing(store, wanted.name, wanted.type_name, payload, wanted.billing_group)
        _join(store, wanted.name, wanted.groups or ())
    else:
        _change(store, wanted, found)
    done.arns[wanted.logical_name] = things.arn(store, wanted.name)
    done.thing_name = wanted.name


def _change(store: Store, wanted: Thing, found: sqlite3.Row) -> None:
    """A thing that is there already, property by property."""
    if Override.FAIL in wanted.overrides.values():
        raise _conflict(f"thing {wanted.name}")
    update: dict[str, Any] = {}
    if wanted.attributes is not None:
        override = wanted.overrides.get("AttributePayload")
        held = attributes.read(found["attributes"])
        merge = override is Override.MERGE
        after = {**held, **wanted.attributes} if merge else dict(wanted.attributes)
        if after != held and _may_change(wanted, "AttributePayload", "attributes"):
            update["attributePayload"] = {"attributes": dict(wanted.attributes), "merge": merge}
    if wanted.type_name not in {None, found["type_name"]} and _may_change(wanted, "ThingTypeName", "thing type"):
        update["thingTypeName"] = wanted.type_name
    if update:
        things.update_thing(store, thingName=wanted.name, **update)
    if wanted.groups is not None:
        _change_groups(store, wanted, wanted.groups)
    if wanted.billing_group and wanted.billing_group != found["billing_group"]:
        if found["billing_group"]:
            raise _conflict(f"thing {wanted.name} with another billing group")
        add_thing_to_billing_group(store, billingGroupName=wanted.billing_group, thingName=wanted.name)


def _change_groups(store: Store, wanted: Thing, groups: tuple[str, ...]) -> None:
    held = group_members.static_groups_of(store, wanted.name)
    merge = wanted.overrides.get("ThingGroups") is Override.MERGE
    changed = bool(set(groups) - set(held)) if merge else set(groups) != set(held)
    if changed and _may_change(wanted, "ThingGroups", "thing groups"):
        leaving = [] if merge else [name for name in held if name not in groups]
        group_members.update_thing_groups_for_thing(store, wanted.name, None, leaving)
        _join(store, wanted.name, groups)


def _may_change(wanted: Thing, setting: str, what: str) -> bool:
    """Whether a property that differs is changed; refused where the template does not say."""
    override = wanted.overrides.get(setting)
    if override is None:
        raise _conflict(f"thing {wanted.name} with other {what}")
    return override is not Override.DO_NOTHING


def _join(store: Store, thing: str, groups: tuple[str, ...]) -> None:
    group_members.update_thing_groups_for_thing(store, thing, list(groups), None)


def _conflict(what: str) -> AwsError:
    return AwsError("ResourceConflictsException", f"ResourceConflictsException: there is a {what} already")
