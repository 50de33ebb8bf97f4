"""TestAuthorization: what a principal's policies would say, without a connection.

Source: the service model's words. A question about several resources has one decision: an explicit deny of any of them
counts first, then that one of them is not allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import certificates, connections, invalid, operation, policies, policy_attachments
from iotctl.semantics import policy
from iotctl.semantics.policy import Decision

if TYPE_CHECKING:
    from iotctl.local.services.connections import Values
    from iotctl.local.store import Store
    from iotctl.semantics.policy import Policy

_ACTIONS: Final = {
    "CONNECT": "iot:Connect",
    "PUBLISH": "iot:Publish",
    "RECEIVE": "iot:Receive",
    "SUBSCRIBE": "iot:Subscribe",
}
_WORST_FIRST: Final = (Decision.EXPLICIT_DENY, Decision.IMPLICIT_DENY, Decision.ALLOWED)


@operation("iot:TestAuthorization")
def authorization_test(
    store: Store,
    *,
    authInfos: list[dict[str, Any]],
    principal: str | None = None,
    cognitoIdentityPoolId: str | None = None,
    clientId: str = "",
    policyNamesToAdd: list[str] | None = None,
    policyNamesToSkip: list[str] | None = None,
) -> dict[str, Any]:
    """Whether a certificate may do things, with policies added that it does not have, and without some that it has.

    With a client id it is a connection's question: thing variables have values, and the policies of the thing's groups
    count, as they do for a connection.
    """
    if cognitoIdentityPoolId is not None:
        raise invalid("cognitoIdentityPoolId: Cognito identity pools are not a part of the local platform")
    if principal is None:
        raise invalid("A principal must be specified")
    certificates.principal(store, principal)
    certificate = principal.removeprefix(certificates.arn_of(store, ""))
    thing = connections.thing_of(store, certificate, clientId)
    names = policy_attachments.effective(store, principal, thing)
    skipped = {policies.known(store, name)["name"] for name in policyNamesToSkip or ()}
    names = [name for name in dict.fromkeys([*names, *(policyNamesToAdd or ())]) if name not in skipped]
    documents = {name: policy.parse(policies.document(store, name)) for name in names}
    wanted = frozenset[str]().union(*(each.variables for each in documents.values()))
    # What a client says of its last will and its session in CONNECT is not asked about: neither is there.
    known: Values = {"iot:ConnectAttributes": (), **connections.values(store, certificate, clientId, thing, wanted)}
    missing = sorted(wanted - known.keys())
    return {"authResults": [_result(store, one, documents, known, missing) for one in authInfos]}


def _result(
    store: Store, asked: dict[str, Any], documents: dict[str, Policy], known: Values, missing: list[str]
) -> dict[str, Any]:
    action, resources = _ACTIONS.get(asked.get("actionType", "")), asked["resources"]
    if action is None or not resources:
        raise invalid("authInfos: an actionType and at least one resource must be specified")
    said = {name: _worst([document], known, action, resources) for name, document in documents.items()}
    overall = _worst(list(documents.values()), known, action, resources)
    by = {decision: [name for name, one in said.items() if one is decision] for decision in Decision}
    listed = {
        decision: {"policies": [policies.listed(store, name) for name in names]} for decision, names in by.items()
    }
    return {
        "authInfo": asked,
        "allowed": listed[Decision.ALLOWED],
        "denied": {
            "implicitDeny": listed[Decision.IMPLICIT_DENY],
            "explicitDeny": listed[Decision.EXPLICIT_DENY],
        },
        "authDecision": overall.value,
        "missingContextValues": missing,
    }


def _worst(of: list[Policy], known: Values, action: str, resources: list[str]) -> Decision:
    """The decision of policies on all of these resources together."""
    granted = policy.grants(of, known)
    found = {granted.decide(action, resource) for resource in resources}
    return next(decision for decision in _WORST_FIRST if decision in found)
