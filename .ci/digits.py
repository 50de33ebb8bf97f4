"""Make the models of `iotctl local demo`: a classifier of handwritten digits, and a worse one that a canary must stop.

Neither scikit-learn nor skl2onnx is a dependency of iotctl; what this writes is checked in. To make it again:

    python3 -m venv /tmp/digits && /tmp/digits/bin/pip install scikit-learn skl2onnx
    /tmp/digits/bin/python .ci/digits.py

The data is scikit-learn's digits: the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak,
UCI Machine Learning Repository, 1998; CC BY 4.0), 1,797 images of 8 x 8 pixels of 0 to 16.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

PLACE = Path(__file__).parent.parent / "iotctl" / "local"
HELD_OUT = 10
"""Every tenth image is held out."""
FEW = 40
"""What the worse model sees of the training part."""


def main() -> None:
    """Train, convert, write."""
    images, digits = load_digits(return_X_y=True)
    held_out = [number % HELD_OUT == 0 for number in range(len(digits))]
    known = [not out for out in held_out]
    for name, count in (("digits", None), ("digits-worse", FEW)):
        classifier = LogisticRegression(max_iter=5000).fit(images[known][:count], digits[known][:count])
        # Of this converter's operators, those that every onnxruntime of the last years knows.
        model = to_onnx(
            classifier,
            initial_types=[("pixels", FloatTensorType([None, 64]))],
            options={"zipmap": False},
            target_opset={"": 15, "ai.onnx.ml": 3},
        )
        model.graph.name = name
        (PLACE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        accuracy = classifier.score(images[held_out], digits[held_out])
        sys.stderr.write(f"{name}: {accuracy:.3f} of the held-out part\n")
    (PLACE / "digits-labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)), encoding="utf-8")
    first, *_ = images[held_out]
    (PLACE / "digits-sample.json").write_text(json.dumps([int(pixel) for pixel in first]) + "\n", encoding="utf-8")
    rows = [",".join(map(str, ["digit", *(f"p{place}" for place in range(64))]))]
    rows += [
        ",".join(map(str, [digit, *map(int, image)]))
        for digit, image in zip(digits[held_out], images[held_out], strict=True)
    ]
    (PLACE / "digits-held-out.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
