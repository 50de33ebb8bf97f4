"""ONNX models that do one thing each, made in memory: good ones, and those that must not get through."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
OPSETS = [helper.make_opsetid("", 15)]


def model(
    nodes: list[Any], *, inputs: list[Any], outputs: list[Any], weights: list[Any] | None = None, **more: Any
) -> onnx.ModelProto:
    """A model of some nodes."""
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights or [])
    return helper.make_model(graph, **{"opset_imports": OPSETS, "ir_version": 8, **more})


def floats(name: str, *shape: int | str | None) -> Any:
    """An input or output of floating point numbers."""
    return helper.make_tensor_value_info(name, FLOAT, shape)


def weight(name: str, *values: Any) -> Any:
    """A tensor of numbers."""
    return numpy_helper.from_array(np.array(values, np.float32), name)


def linear(factor: float = 2.0, *, classes: int = 3) -> bytes:
    """A softmax over `classes` numbers, each multiplied by a factor."""
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["y"]),
        helper.make_node("Softmax", ["y"], ["p"], axis=1),
    ]
    made = model(
        nodes,
        inputs=[floats("x", None, classes)],
        outputs=[floats("p", None, classes)],
        weights=[weight("factor", factor)],
    )
    return bytes(made.SerializeToString())


def echo(factor: float = 1.0) -> bytes:
    """Gives the number that it gets, times a factor."""
    made = model(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        inputs=[floats("x", None, 1)],
        outputs=[floats("y", None, 1)],
        weights=[weight("factor", factor)],
    )
    return bytes(made.SerializeToString())


def nan() -> bytes:
    """The logarithm of -1."""
    nodes = [helper.make_node("Sub", ["x", "one"], ["y"]), helper.make_node("Log", ["y"], ["z"])]
    made = model(nodes, inputs=[floats("x", 1, 2)], outputs=[floats("z", 1, 2)], weights=[weight("one", 1.0)])
    return bytes(made.SerializeToString())


def wrong_shape() -> bytes:
    """Says two numbers, gives as many as its input has zeros: none."""
    nodes = [helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Cast", ["places"], ["y"], to=FLOAT)]
    return bytes(model(nodes, inputs=[floats("x", 1, 4)], outputs=[floats("y", 2, 4)]).SerializeToString())


def bomb(gigabytes: int = 64) -> bytes:
    """A hundred bytes that ask for gigabytes of memory, once they run."""
    nodes = [
        helper.make_node("Shape", ["x"], ["one"]),
        helper.make_node("Mul", ["one", "many"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["y"], keepdims=1),
    ]
    many = numpy_helper.from_array(np.array([gigabytes << 28], np.int64), "many")
    return bytes(model(nodes, inputs=[floats("x", 1)], outputs=[floats("y", 1)], weights=[many]).SerializeToString())


def loop() -> bytes:
    """A loop that does not end in a lifetime."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["again"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            floats("before", 1, 2),
        ],
        [helper.make_tensor_value_info("again", TensorProto.BOOL, []), floats("after", 1, 2)],
    )
    nodes = [helper.make_node("Loop", ["trips", "", "x"], ["y"], body=body)]
    trips = numpy_helper.from_array(np.array(2**62, np.int64), "trips")
    return bytes(
        model(nodes, inputs=[floats("x", 1, 2)], outputs=[floats("y", 1, 2)], weights=[trips]).SerializeToString()
    )


def external() -> bytes:
    """A model whose weights are said to be in another file."""
    made = model(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        inputs=[floats("x", 1)],
        outputs=[floats("y", 1)],
        weights=[weight("w", 1.0)],
    )
    onnx.external_data_helper.set_external_data(made.graph.initializer[0], location="../../etc/passwd")
    made.graph.initializer[0].ClearField("raw_data")
    return bytes(made.SerializeToString())


def of_domain(domain: str, *, nested: bool = False) -> bytes:
    """A model with an operator of some domain, at the top or within a branch."""
    node = helper.make_node("Mine", ["x"], ["y"], domain=domain)
    opsets = [*OPSETS, helper.make_opsetid("", 15) if nested else helper.make_opsetid(domain, 1)]
    if nested:
        branch = helper.make_graph([node], "branch", [], [floats("y", 1)])
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    made = model([node], inputs=[floats("x", 1)], outputs=[floats("y", 1)], opset_imports=opsets)
    return bytes(made.SerializeToString())
