"""Store the weights of an ONNX graph in 16 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

LEAST_AXES = 2
"""Constants of fewer axes, such as biases, are small and stay as they are."""


def halve_weights(model: Any) -> int:
    """Store the weights of convolutions and matrices as float16, in place.

    A cast to float32 follows each of them, so that the graph computes as before; runtimes fold
    the casts when they load it, or compute in 16 bits where the device does.

    Args:
        model: An ``onnx.ModelProto``.

    Returns:
        Number of tensors that became smaller. Those with values beyond float16 stay.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for index, tensor in enumerate(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < LEAST_AXES:
            continue
        values = numpy_helper.to_array(tensor)
        if not np.abs(values).max(initial=0) <= np.finfo(np.float16).max:
            continue
        name = tensor.name
        small = numpy_helper.from_array(values.astype(np.float16), f'{name}_float16')
        graph.initializer[index].CopyFrom(small)
        casts.append(helper.make_node('Cast', [small.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return len(casts)
