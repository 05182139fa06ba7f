"""A traced program of Paddle's as ONNX; a script: PROGRAM WEIGHTS TARGET NAME_OF_OUTPUT..."""
import contextlib
import sys

with contextlib.suppress(ImportError):
    # paddle2onnx tells Polygraphy to install what it lacks by pip; what it is told later than this it does not hear
    import polygraphy.config  # noqa: F401

# isort: split
import onnx
import paddle2onnx

OPSET = 17  # the first with LayerNormalization; onnxruntime knows it since 1.12


def main(program: str, weights: str, target: str, *outputs: str) -> None:
    """Convert, then call the batch and what comes out by names that tell."""
    paddle2onnx.export(program, weights, target, opset_version=OPSET)
    model = onnx.load(target)
    names = dict(zip((value.name for value in model.graph.output), outputs))
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]  # shapes of what lies between, under the old names
    onnx.checker.check_model(model)
    onnx.save(model, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
