"""The reference: one NumPy function per op, one class per family, written from docs/Families.

Compiled libraries are judged against it, so it imports NumPy and nothing else. It runs in float64, or in float32 to
find what rounding alone costs on a given case. `storage` says how a library stores matrices; the reference then rounds
what the library rounds (see `rounding`).
"""

from .activation import ACTIVATIONS, Activation, activation, swish
from .add_scaled import add_scaled
from .attention import attend, attention
from .causal_conv import causal_conv
from .columns import concat_columns, slice_columns
from .cope_bias import cope_bias
from .cross_entropy import cross_entropy
from .differential import differential
from .embedding import embedding
from .family import Reference
from .fan import fan
from .gate_blend import gate_blend
from .gated_delta_rule import gated_delta_rule, gated_delta_rule_chunked
from .glu import glu
from .gpas import gpas
from .l2_norm import l2_norm
from .layer_norm import layer_norm
from .linear import linear
from .llama import Llama
from .log_decay import log_decay
from .low_rank_linear import low_rank_linear
from .miniaxion import MiniAxion
from .nanohammer import NanoHammer
from .neollm import NeoLLM
from .ngram_embedding import ngram_embedding
from .om import Om
from .poly_norm import poly_norm
from .rms_norm import rms_norm
from .rope import angle_turns, rope, rope_turns
from .rounding import STORAGES, Storage, round_bf16, round_to
from .running_sum import blank_start, read_rows, running_sum

FAMILIES: dict[str, type[Reference]] = {
    "llama": Llama,
    "miniaxion": MiniAxion,
    "nanohammer": NanoHammer,
    "neollm": NeoLLM,
    "om": Om,
}
"""Family by the config's `model_type`."""

__all__ = [
    "ACTIVATIONS",
    "FAMILIES",
    "STORAGES",
    "Activation",
    "Llama",
    "MiniAxion",
    "NanoHammer",
    "NeoLLM",
    "Om",
    "Reference",
    "Storage",
    "activation",
    "add_scaled",
    "angle_turns",
    "attend",
    "attention",
    "blank_start",
    "causal_conv",
    "concat_columns",
    "cope_bias",
    "cross_entropy",
    "differential",
    "embedding",
    "fan",
    "gate_blend",
    "gated_delta_rule",
    "gated_delta_rule_chunked",
    "glu",
    "gpas",
    "l2_norm",
    "layer_norm",
    "linear",
    "log_decay",
    "low_rank_linear",
    "ngram_embedding",
    "poly_norm",
    "read_rows",
    "rms_norm",
    "rope",
    "rope_turns",
    "round_bf16",
    "round_to",
    "running_sum",
    "slice_columns",
    "swish",
]
