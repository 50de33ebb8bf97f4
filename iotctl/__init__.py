"""iotctl: fleet management for AWS IoT."""

__version__ = "0.1.0"
