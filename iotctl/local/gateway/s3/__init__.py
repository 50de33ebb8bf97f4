"""Amazon S3 over HTTP: its requests, streamed in, and its answers, streamed out."""

from __future__ import annotations
