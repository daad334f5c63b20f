"""What runs on the device: ONNX Runtime and numpy, nothing else.

usage: python answer.py FILE.onnx IMAGES.npy    (float32, N×3×32×32, as the file's metadata says)
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
images = np.load(sys.argv[2])
(logits,) = session.run(None, {session.get_inputs()[0].name: images})
names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
for scores in logits:
    print(names[int(scores.argmax())])
