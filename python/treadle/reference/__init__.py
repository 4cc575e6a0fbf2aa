"""The reference: one NumPy function per op, one class per family, written from docs/Families.

Compiled libraries are judged against it, so it imports NumPy and nothing else. It runs in float64, or in float32 to
find what rounding alone costs on a given case. `storage` says how a library stores matrices; the reference then rounds
what the library rounds (see `rounding`).
"""

from .activation import ACTIVATIONS, Activation, activation, swish
from .add_scaled import add_scaled
from .attention import attend, attention
from .cope_bias import cope_bias
from .cross_entropy import cross_entropy
from .differential import differential
from .embedding import embedding
from .family import Reference
from .gate_blend import gate_blend
from .glu import glu
from .gpas import gpas
from .layer_norm import layer_norm
from .linear import linear
from .log_decay import log_decay
from .low_rank_linear import low_rank_linear
from .miniaxion import MiniAxion
from .ngram_embedding import ngram_embedding
from .om import Om
from .rms_norm import rms_norm
from .rope import angle_turns, rope, rope_turns
from .rounding import STORAGES, Storage, round_bf16, round_to
from .running_sum import blank_start, read_rows, running_sum

FAMILIES: dict[str, type[Reference]] = {"miniaxion": MiniAxion, "om": Om}
"""Family by the config's `model_type`."""

__all__ = [
    "ACTIVATIONS",
    "FAMILIES",
    "STORAGES",
    "Activation",
    "MiniAxion",
    "Om",
    "Reference",
    "Storage",
    "activation",
    "add_scaled",
    "angle_turns",
    "attend",
    "attention",
    "blank_start",
    "cope_bias",
    "cross_entropy",
    "differential",
    "embedding",
    "gate_blend",
    "glu",
    "gpas",
    "layer_norm",
    "linear",
    "log_decay",
    "low_rank_linear",
    "ngram_embedding",
    "read_rows",
    "rms_norm",
    "rope",
    "rope_turns",
    "round_bf16",
    "round_to",
    "running_sum",
    "swish",
]
