"""What tests know of a model: its config, inputs that follow from a seed, and what its options are called."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from treadle import _safetensors
from treadle.random_weights import random_weights
from treadle.reference import FAMILIES, Reference, Storage


@dataclass(frozen=True)
class Case:
    """A config with its seed. Weights, ids and mask follow from the seed."""

    name: str
    config: dict[str, Any]
    seed: int
    context: int
    """The config's context: how many tokens a session holds."""
    width: int
    """The hidden size."""
    loops: int = 1
    loop_option: str | None = None
    """What `forward` of the reference calls the number of passes, if the family has any."""
    is_endless: bool = False
    """Whether a session may go on for ever; `context` then only gives the length of the windows."""
    vocabulary: int = 0
    """The columns of the logits; 0 stands for vocab_size."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", self.vocabulary or self.config["vocab_size"])

    @property
    def family(self) -> str:
        return self.config["model_type"]

    @property
    def ids(self) -> NDArray[np.int64]:
        """A window longer than any two row buckets, or all but, that stops short of the context's end."""
        return np.random.default_rng(self.seed).integers(0, self.config["vocab_size"], self.context * 15 // 16)

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

    def reference(self, weights: Path, dtype: DTypeLike = np.float64, storage: Storage = "f32") -> Reference:
        return FAMILIES[self.family](self.config, _safetensors.load(weights), dtype, storage)

    def logits(
        self, model: Reference, ids: NDArray[np.integer], mask: NDArray | None = None, loops: int | None = None
    ) -> NDArray:
        """What `model` answers after `loops` passes, by default the case's own number."""
        options = {} if self.loop_option is None else {self.loop_option: loops or self.loops}
        return model.forward(ids, attention_mask=mask, **options)[0]


@dataclass(frozen=True)
class Flip:
    """A change of one option: the logits must show it."""

    config: dict[str, Any]
    loops: int | None = None
    unused: frozenset[str] = field(default_factory=frozenset)
    """Tensors that the changed config has no use for."""
