"""Run an ONNX model on a core device: inputs in, predictions out, safely.

A package of its own: it runs on a Greengrass core (through Greengrass IPC) and on `iotctl local core` (over MQTT). It
needs Python 3.9 or newer, numpy, onnxruntime and awsiotsdk, and nothing of iotctl.

    source -> agent -> worker (a child process: decode, run, finish) -> agent -> predictions, actions, feedback
"""
