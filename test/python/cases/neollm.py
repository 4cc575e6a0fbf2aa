"""NeoLLM's cases."""

from typing import Any

from pairwise import Row, covering_rows
from treadle.reference.neollm_config import FULL, LINEAR, NeoLLMConfig

from .case import Case, Flip

FACTORS = {
    # The first and the third with dimensions that are no multiple of 16.
    "sizes": (
        {"vocab_size": 37, "hidden_size": 40, "intermediate_size": 50},
        {"vocab_size": 96, "hidden_size": 64, "intermediate_size": 48},
        {"vocab_size": 51, "hidden_size": 36, "intermediate_size": 75},
        {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64},
    ),
    # Published: three and one, repeated; then two of them with something behind, and a list without a pattern.
    "layers": (
        {"num_hidden_layers": 4},
        {"num_hidden_layers": 9},
        {"num_hidden_layers": 6, "layer_types": [FULL, LINEAR, FULL, LINEAR, LINEAR, FULL]},
    ),
    "heads": (
        {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "partial_rotary_factor": 0.5},
        {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "partial_rotary_factor": 1.0},
        {"num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 24, "partial_rotary_factor": 0.25},
    ),
    "linear_heads": (
        {"linear_num_key_heads": 2, "linear_key_head_dim": 6, "linear_num_value_heads": 4, "linear_value_head_dim": 9},
        {"linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_num_value_heads": 2, "linear_value_head_dim": 32},
        {"linear_num_key_heads": 4, "linear_key_head_dim": 20, "linear_num_value_heads": 8, "linear_value_head_dim": 12},
    ),
    "linear_conv_kernel_dim": (4, 2),
    "max_position_embeddings": (64, 160, 320),
    "fan_mode": ("paper", "extend"),
    "fan_bias": ("all", "plain", "none"),
    "fan_ratio": (0.125, 0.3),
    "linear_attn_fan": (True, False),
    "attn_output_gate": (False, True),
    "gpas_per_layer": (2, 1),
    "norm_zero_centered": (True, False),
    "norm_bias": (False, True),
    "tie_word_embeddings": (True, False),
    "rms_norm_eps": (1e-6, 1e-3),
    "rope_theta": (10000.0, 100.0),
}


def _case(number: int, row: Row) -> Case:
    options = dict(row)
    sizes, layers, heads, linear_heads = (options.pop(key) for key in ("sizes", "layers", "heads", "linear_heads"))
    config = {"model_type": "neollm", **sizes, **layers, **heads, **linear_heads, **options}
    name = f"{number:02}-d{sizes['hidden_size']}-l{layers['num_hidden_layers']}-t{options['max_position_embeddings']}"
    return Case(f"neollm-{name}", config, 300 + number, options["max_position_embeddings"], sizes["hidden_size"])


CASES = [_case(number, row) for number, row in enumerate(covering_rows(FACTORS, lambda row: True))]
FURTHER: list[Case] = []

# Both kinds of layers, repeated.
TYPICAL = next(case for case in CASES if case.config["num_hidden_layers"] == 9)

RECURRENT = TYPICAL

# Slow decays, so that much is remembered; attention of few heads, which the reference computes whole.
LONG = Case(
    "neollm-long",
    {
        "model_type": "neollm",
        "vocab_size": 53,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 12,
        "linear_num_value_heads": 2,
        "linear_value_head_dim": 20,
        "max_position_embeddings": 4096,
    },
    391,
    4096,
    24,
)

_VALUES = ("rms_norm_eps", "rope_theta", "norm_zero_centered")
OPTIONS = {*_VALUES, "linear_num_key_heads", "norm_bias", "partial_rotary_factor", "tie_word_embeddings"}


def flips(case: Case) -> dict[str, Flip]:
    config = case.config
    c = NeoLLMConfig.from_dict(config)
    names = list(c.tensors())
    found: dict[str, Flip] = {}
    for option in _VALUES:
        if option != "rope_theta" or (FULL in c.layer_types and c.rotated > 2):
            first, second = FACTORS[option]
            found[option] = Flip(config | {option: second if config[option] == first else first})
    if FULL in c.layer_types:
        found["partial_rotary_factor"] = Flip(config | {"partial_rotary_factor": 2 / c.head_dim if c.rotated > 2 else 1.0})
    if LINEAR in c.layer_types:
        halves = {"linear_num_key_heads": 1, "linear_key_head_dim": c.key_width}
        found["linear_num_key_heads"] = Flip(config | halves)
    if c.norm_bias:
        biases = [name for name in names if name.endswith("norm.bias")]
        found["norm_bias"] = Flip(config | {"norm_bias": False}, unused=frozenset(biases))
    if not c.tie_word_embeddings:
        found["tie_word_embeddings"] = Flip(config | {"tie_word_embeddings": True}, unused=frozenset({"lm_head.weight"}))
    return found


def deepen(config: dict[str, Any], layers: int) -> dict[str, Any]:
    """Both kinds of layers occur, with two layers as well."""
    kinds = [FULL if i % 4 == 3 else LINEAR for i in range(layers)]
    return config | {"num_hidden_layers": layers, "layer_types": [*kinds[:-1], FULL]}


def row_bytes(config: NeoLLMConfig, element: int, max_loops: int) -> int:
    """A row of K and one of V for each layer of full attention."""
    full = config.layer_types.count(FULL)
    return 2 * full * config.num_key_value_heads * config.head_dim * element
