"""botocore, imported when first needed: its modules, and its models of services, operations and parameters."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import ServiceModel


@functools.cache
def service_model(service: str) -> ServiceModel:
    """The botocore model of a service: operations, routes, shapes, constraints, errors.

    Raises:
        botocore.exceptions.UnknownServiceError: there is no such service.

    """
    loader = module("botocore.loaders").create_loader()
    model = module("botocore.model")
    found: ServiceModel = model.ServiceModel(loader.load_service_model(service, "service-2"), service)
    return found


def is_operation(name: str) -> bool:
    """Whether AWS has an operation `service:Operation`, services as botocore calls them."""
    service, _, operation = name.partition(":")
    try:
        return operation in service_model(service).operation_names
    except exceptions().UnknownServiceError:
        return False


@functools.cache
def members(service: str, operation: str) -> frozenset[str]:
    """The names of an operation's parameters."""
    shape = service_model(service).operation_model(operation).input_shape
    return frozenset(shape.members) if shape is not None else frozenset()


def module(name: str) -> Any:  # noqa: ANN401  a module
    """Import boto3 or botocore without awscrt: botocore would load it at every start (40 ms) and sign no faster.

    Only the sessions of `aws login` are renewed with it.
    """
    if "awscrt" in sys.modules or "botocore" in sys.modules or _knows_logins():
        return importlib.import_module(name)
    sys.modules["awscrt"] = None  # type: ignore[assignment]  # None makes the import fail, as documented
    try:
        importlib.import_module("botocore.session")
    finally:
        del sys.modules["awscrt"]
    return importlib.import_module(name)


def _knows_logins() -> bool:
    """Whether the AWS configuration has a profile that `aws login` made."""
    path = Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    try:
        return b"login_session" in path.read_bytes()
    except OSError:
        return False


def exceptions() -> Any:  # noqa: ANN401  a module
    """Botocore's errors."""
    return module("botocore.exceptions")
