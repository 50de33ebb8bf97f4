"""What AWS hands out by presigned URL: reports of its tasks."""

from __future__ import annotations

import os
from typing import Final

from iotctl.aws import models
from iotctl.errors import Refused, Temporary

_OK: Final = 200


def download(url: str) -> bytes:
    """What is at a presigned URL of AWS's; the URL itself is a secret, and never told.

    Raises:
        Temporary: it cannot be had now. Refused: it is no longer valid.

    """
    request = models.module("botocore.awsrequest").AWSRequest("GET", url).prepare()
    verify = os.environ.get("AWS_CA_BUNDLE") or True
    proxies = models.module("botocore.utils").get_environ_proxies(url)
    try:
        answer = models.module("botocore.httpsession").URLLib3Session(verify=verify, proxies=proxies).send(request)
    except models.exceptions().HTTPClientError as error:
        raise Temporary("a report of AWS cannot be downloaded", code=type(error).__name__) from None
    if answer.status_code != _OK:
        raise Refused("a report of AWS cannot be downloaded", code=f"HTTP{answer.status_code}")
    return bytes(answer.content)
