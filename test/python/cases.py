"""Tiny MiniAxion models in which every two options meet, with fixed weights and inputs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pairwise import Row, covering_rows
from treadle import _safetensors
from treadle.random_weights import random_weights
from treadle.reference import MiniAxion, Storage

FACTORS = {
    "loops": (1, 2, 3, 4),
    # Half of them with dimensions that are no multiple of 16.
    "sizes": (
        {"vocab_size": 37, "d_model": 40, "n_heads": 4, "d_ff": 50, "lora_rank": 5},
        {"vocab_size": 64, "d_model": 32, "n_heads": 4, "d_ff": 64, "lora_rank": 16},
        {"vocab_size": 51, "d_model": 36, "n_heads": 3, "d_ff": 72, "lora_rank": 7},
        {"vocab_size": 96, "d_model": 64, "n_heads": 4, "d_ff": 48, "lora_rank": 16},
    ),
    # 0 + 2 + 1, 1 + 2 + 2 and 2 + 2 + 2 entry, shared and exit layers.
    "layers": (
        {"n_layers": 3},
        {"n_layers": 5, "n_shared_layers": 2},
        {"n_layers": 6, "n_shared_layers": 2},
    ),
    "kv_heads": ("1", "2", "all"),
    "max_seq_len": (64, 160, 320),
    "rope_pairing": ("half", "interleaved"),
    "rope_theta": (10000.0, 500.0),
    "think_blend": ("pass", "layer"),
    "lora_scale": (1.0, 0.5),
    "rms_norm_eps": (1e-6, 1e-5),
    "weight_tying": (True, False),
    "use_thinking_tokens": (True, False),
}


@dataclass(frozen=True)
class Case:
    """A config with its seed. Weights, ids and mask follow from the seed."""

    name: str
    config: dict[str, Any]
    seed: int
    loops: int

    @property
    def ids(self) -> NDArray[np.int64]:
        """A window longer than any two row buckets, or all but, that stops short of max_seq_len."""
        length = self.config["max_seq_len"] * 15 // 16
        return np.random.default_rng(self.seed).integers(0, self.config["vocab_size"], length)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """False for the first two tokens, whose rows then have nothing to attend to, and for every ninth."""
        position = np.arange(len(self.ids))
        return (position >= 2) & (position % 9 != 8)

    @property
    def short_windows(self) -> NDArray[np.int64]:
        """32 windows of 4 tokens, for `judge.typical_error`."""
        return np.random.default_rng(self.seed + 1).integers(0, self.config["vocab_size"], (32, 4))

    def write(self, folder: Path) -> tuple[Path, Path]:
        """config.json and float32 w.safetensors in `folder`."""
        config, weights = folder / "config.json", folder / "w.safetensors"
        config.write_text(json.dumps(self.config))
        random_weights(config, weights, self.seed, "f32")
        return config, weights

    def reference(self, weights: Path, dtype: DTypeLike = np.float64, storage: Storage = "f32") -> MiniAxion:
        return MiniAxion(self.config, _safetensors.load(weights), dtype, storage)


def _allowed(row: Row) -> bool:
    return not (row.get("kv_heads") == "2" and row.get("sizes", {}).get("n_heads") == 3)


def _case(number: int, row: Row) -> Case:
    options = dict(row)
    loops, sizes, layers = (options.pop(key) for key in ("loops", "sizes", "layers"))
    kv_heads = options.pop("kv_heads")
    n_kv_heads = sizes["n_heads"] if kv_heads == "all" else int(kv_heads)
    config = {"model_type": "miniaxion", **sizes, **layers, "n_kv_heads": n_kv_heads, **options}
    name = f"{number:02}-d{sizes['d_model']}-l{layers['n_layers']}-kv{kv_heads}-t{options['max_seq_len']}-x{loops}"
    return Case(name, config, seed=100 + number, loops=loops)


CASES = [_case(number, row) for number, row in enumerate(covering_rows(FACTORS, _allowed))]
