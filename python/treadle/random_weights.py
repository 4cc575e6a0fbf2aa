"""Weights of any size for a config, without a training run."""

import json
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from treadle import _safetensors
from treadle._progress import Progress
from treadle.reference import FAMILIES
from treadle.reference.tensor_spec import TensorSpec

BLOCK_ELEMENTS = 1 << 20

_FILE_TYPES = {"f32": "F32", "bf16": "BF16", "f16": "F16"}


def random_weights(
    config: str | os.PathLike,
    out: str | os.PathLike,
    seed: int = 0,
    dtype: Literal["f32", "bf16", "f16"] = "bf16",
    progress: Progress = "auto",
) -> None:
    """Writes a safetensors file of normally distributed weights that fit `config`, a file or checkpoint directory.

    Scales are such that every sublayer's output has O(1) size, so that each option of a config shows in the logits.
    The same seed gives the same file. Tensors are written piece by piece: memory does not grow with the model.
    What takes more than a second shows a bar on a terminal, unless `progress` is "off".
    """
    if dtype not in _FILE_TYPES:
        raise ValueError(f"dtype: expected {', '.join(_FILE_TYPES)}, got {dtype!r}")
    file_type = _FILE_TYPES[dtype]
    specs = tensor_specs(config)
    _safetensors.save(
        out,
        {name: (file_type, spec.shape) for name, spec in specs.items()},
        (
            _safetensors.to_file_type(block, file_type)
            for name, spec in specs.items()
            for block in normal_blocks(name, spec, seed)
        ),
        progress,
    )


def tensor_specs(config: str | os.PathLike) -> dict[str, TensorSpec]:
    """The tensor table of a config file or checkpoint directory."""
    path = Path(config)
    if path.is_dir():
        path /= "config.json"
    try:
        fields = json.loads(path.read_bytes())
        if not isinstance(fields, dict):
            raise ValueError(f"/: expected an object, got {fields!r:.40}")
        model_type = fields.get("model_type")
        if not isinstance(model_type, str) or model_type not in FAMILIES:
            raise ValueError(f"/model_type: expected {' or '.join(FAMILIES)}, got {model_type!r:.40}")
        return FAMILIES[model_type].Config.from_dict(fields).tensors()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None


def normal_blocks(name: str, spec: TensorSpec, seed: int) -> Iterator[NDArray[np.float32]]:
    """The elements of a tensor in flat blocks. They depend on the seed and the name, on no other tensor."""
    generator = np.random.default_rng([seed, *name.encode()])
    left = prod(spec.shape)
    while left:
        block = generator.standard_normal(min(left, BLOCK_ELEMENTS), np.float32)
        left -= len(block)
        yield block * np.float32(spec.std) + np.float32(spec.mean)
