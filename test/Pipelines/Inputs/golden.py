"""Writes golden vectors of the reference into the current folder, right ones and wrong ones: golden.py CONFIG WEIGHTS."""

import json
import sys

import numpy as np
from safetensors.numpy import load_file, save_file
from treadle import reference

config = json.loads(open(sys.argv[1]).read())
model = reference.FAMILIES[config["model_type"]](config, load_file(sys.argv[2]), np.float64)
ids = np.arange(20, dtype=np.int32)
mask = (ids != 3).astype(np.uint8)


def logits(**options) -> np.ndarray:
    return model.forward(ids, **options)[0].astype(np.float32)


right = {"ids": ids, "logits": logits()}
save_file(
    right
    | {
        "masked.ids": ids.astype(np.int64),
        "masked.mask": mask,
        "masked.loops": np.array([3], np.int32),
        "masked.logits": logits(attention_mask=mask, n_think_loops=3),
        "masked.tolerance": np.array([1e-5], np.float32),
    },
    "right.safetensors",
)
for name, change in {
    "wrong": {"logits": right["logits"] + 1},
    "no-logits": {"logits": None},
    "f64": {"logits": right["logits"].astype(np.float64)},
    "vocabulary": {"logits": right["logits"][:, 1:].copy()},
    "id": {"ids": ids + 78},
    "nan": {"logits": right["logits"] * np.nan},
    "loops": {"loops": np.array([9], np.int32)},
    "mask": {"mask": mask[1:].copy()},
    "mask-type": {"mask": mask.astype(np.int8)},
    "line": {"ids": None, "a\nb.ids": ids},
    "tolerance": {"tolerance": np.array([2], np.float32)},
}.items():
    tensors = right | change
    save_file({key: tensor for key, tensor in tensors.items() if tensor is not None}, f"{name}.safetensors")
