"""A model in ONNX as OpenVINO's XML; a script: SOURCE TARGET."""
import sys

import openvino

if __name__ == "__main__":
    # weights stay float32, so that logits stay what they are
    openvino.save_model(openvino.convert_model(sys.argv[1]), sys.argv[2], compress_to_fp16=False)
