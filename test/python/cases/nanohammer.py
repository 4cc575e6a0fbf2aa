"""NanoHammer's cases."""

from typing import Any

from pairwise import Row, covering_rows
from treadle.reference.nanohammer_config import NanoHammerConfig

from .case import Case, Flip
from .llama import SCALINGS, other_values, without_tensors

FACTORS = {
    # Half of them with dimensions that are no multiple of 16; one with a single state head.
    "sizes": (
        {"vocab_size": 37, "hidden_size": 40, "intermediate_size": 50, "num_attention_heads": 4}
        | {"state_hidden_size": 36, "num_state_heads": 3},
        {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "head_dim": 16}
        | {"state_hidden_size": 64, "num_state_heads": 4},
        {"vocab_size": 51, "hidden_size": 36, "intermediate_size": 72, "num_attention_heads": 6, "head_dim": 10}
        | {"state_hidden_size": 20, "num_state_heads": 2},
        {"vocab_size": 96, "hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 6}
        | {"state_hidden_size": 32, "num_state_heads": 1},
    ),
    "kv_heads": ("1", "2", "all"),
    "num_hidden_layers": (1, 3),
    "max_position_embeddings": (64, 160, 320),
    "rope_scaling": SCALINGS,
    "attention_bias": (False, True),
    "tie_word_embeddings": (True, False),
    "state_rope_theta": (10000.0, 50.0),
    "state_norm_eps": (1e-5, 1e-2),
    "state_mlp_ratio": (2, 3),
    "state_mlp_sharing": ("shared", "per_head"),
    "state_accumulate": ("sum", "mean", "none"),
    "state_pairing": ("interleaved", "half"),
    "state_lag": (1, 0),
    "state_post_norm": ("update", "state"),
    "state_visibility": ("past", "own"),
    "state_act": ("silu", "gelu"),
    "state_norm_bias": (True, False),
    "state_mlp_bias": (True, False),
    "token_to_state_bias": (False, True),
    "state_projection_bias": (False, True),
}


def _case(number: int, row: Row) -> Case:
    options = dict(row)
    sizes, kv_heads = options.pop("sizes"), options.pop("kv_heads")
    kv = sizes["num_attention_heads"] if kv_heads == "all" else int(kv_heads)
    config = {"model_type": "nanohammer", **sizes, "num_key_value_heads": kv, "rope_theta": 1000.0, **options}
    context, hidden = options["max_position_embeddings"], sizes["hidden_size"]
    name = f"nanohammer-{number:02}-d{hidden}-l{options['num_hidden_layers']}-kv{kv_heads}-t{context}"
    return Case(name, config, 300 + number, context, hidden)


def _allowed(row: Row) -> bool:
    # Of one head a matrix of its own is the shared one.
    return not (row.get("state_mlp_sharing") == "per_head" and row.get("sizes", {}).get("num_state_heads") == 1)


_ROWS = covering_rows(FACTORS, _allowed)

# The recommended reading of everything that the publication leaves open.
TYPICAL = _case(
    len(_ROWS),
    {name: levels[0] for name, levels in FACTORS.items()}
    | {"kv_heads": "2", "num_hidden_layers": 3, "max_position_embeddings": 160, "rope_scaling": SCALINGS[1]}
    | {"tie_word_embeddings": False},
)
CASES = [*(_case(number, row) for number, row in enumerate(_ROWS)), TYPICAL]
FURTHER: list[Case] = []

# A sum over all tokens; attention of few heads, which the reference computes whole.
LONG = Case(
    "nanohammer-long",
    {
        "model_type": "nanohammer",
        "vocab_size": 53,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "state_hidden_size": 20,
        "num_state_heads": 2,
        "max_position_embeddings": 4096,
        "rope_scaling": None,
    },
    392,
    4096,
    24,
)

_VALUES = (
    *("rope_scaling", "state_rope_theta", "state_norm_eps", "state_pairing"),
    *("state_lag", "state_post_norm", "state_visibility", "state_act"),
)
_BIASES = {
    "state_norm_bias": "_norm.bias",
    "state_mlp_bias": "state_cell.mlp.",
    "token_to_state_bias": "token_to_state.bias",
    "state_projection_bias": "state_projection.bias",
}
OPTIONS = {*_VALUES, *_BIASES, "state_accumulate", "attention_bias", "tie_word_embeddings"}


def flips(case: Case) -> dict[str, Flip]:
    config = case.config
    found = other_values(config, {option: FACTORS[option] for option in _VALUES}) | without_tensors(config)
    choices = FACTORS["state_accumulate"]
    following = choices[(choices.index(config["state_accumulate"]) + 1) % len(choices)]
    found["state_accumulate"] = Flip(config | {"state_accumulate": following})
    tensors = NanoHammerConfig.from_dict(config).tensors()
    for option, part in _BIASES.items():
        if config[option]:
            biases = frozenset(name for name in tensors if part in name and name.endswith("bias"))
            found[option] = Flip(config | {option: False}, unused=biases)
    return found


def deepen(config: dict[str, Any], layers: int) -> dict[str, Any]:
    return config | {"num_hidden_layers": layers}


def row_bytes(config: NanoHammerConfig, element: int, max_loops: int) -> int:
    """A row of the integral, and for each layer a row of K and one of V in both lanes."""
    lanes = 4 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * element
    return 4 * config.state_hidden_size + lanes
