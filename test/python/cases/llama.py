"""Llama's cases."""

from typing import Any

from pairwise import Row, covering_rows
from treadle.reference.decoder_config import DecoderConfig

from .case import Case, Flip

# Scalings that leave some angles of a window alone, slow some, and blend some.
SCALINGS = (
    None,
    {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 48,
    },
)

FACTORS = {
    # Two thirds of them with dimensions that are no multiple of 16.
    "sizes": (
        {"vocab_size": 37, "hidden_size": 40, "intermediate_size": 50, "num_attention_heads": 4},
        {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "head_dim": 16},
        {"vocab_size": 51, "hidden_size": 36, "intermediate_size": 72, "num_attention_heads": 6, "head_dim": 10},
    ),
    "kv_heads": ("1", "2", "all"),
    "num_hidden_layers": (1, 3),
    "max_position_embeddings": (64, 160, 320),
    "rope_theta": (10000.0, 500.0),
    "rope_scaling": SCALINGS,
    "rms_norm_eps": (1e-6, 1e-5),
    "attention_bias": (False, True),
    "mlp_bias": (False, True),
    "tie_word_embeddings": (True, False),
}


def _case(number: int, row: Row) -> Case:
    options = dict(row)
    sizes, kv_heads = options.pop("sizes"), options.pop("kv_heads")
    kv = sizes["num_attention_heads"] if kv_heads == "all" else int(kv_heads)
    config = {"model_type": "llama", **sizes, "num_key_value_heads": kv, **options}
    context, hidden = options["max_position_embeddings"], sizes["hidden_size"]
    name = f"llama-{number:02}-d{hidden}-l{options['num_hidden_layers']}-kv{kv_heads}-t{context}"
    return Case(name, config, 200 + number, context, hidden)


CASES = [_case(number, row) for number, row in enumerate(covering_rows(FACTORS, lambda row: True))]
FURTHER: list[Case] = []
TYPICAL = next(case for case in CASES if case.config["rope_scaling"] and case.config["max_position_embeddings"] > 100)

_VALUES = ("rope_theta", "rope_scaling", "rms_norm_eps")
_BIASES = {"attention_bias": "self_attn", "mlp_bias": "mlp"}
OPTIONS = {*_VALUES, *_BIASES, "tie_word_embeddings"}


def flips(case: Case) -> dict[str, Flip]:
    config = case.config
    return other_values(config, {option: FACTORS[option] for option in _VALUES}) | without_tensors(config)


def other_values(config: dict[str, Any], levels: dict[str, Any]) -> dict[str, Flip]:
    """Each option with the other of its two levels."""
    return {
        option: Flip(config | {option: second if config[option] == first else first})
        for option, (first, second) in levels.items()
    }


def without_tensors(config: dict[str, Any]) -> dict[str, Flip]:
    """What a config becomes without the tensors that an option asks for."""
    found: dict[str, Flip] = {}
    for option, part in _BIASES.items():
        if config.get(option):
            names = DecoderConfig.from_dict(config).tensors()
            biases = frozenset(name for name in names if f".{part}." in name and name.endswith("bias"))
            found[option] = Flip(config | {option: False}, unused=biases)
    if not config["tie_word_embeddings"]:
        found["tie_word_embeddings"] = Flip(config | {"tie_word_embeddings": True}, unused=frozenset({"lm_head.weight"}))
    return found


def deepen(config: dict[str, Any], layers: int) -> dict[str, Any]:
    return config | {"num_hidden_layers": layers}


def row_bytes(config: DecoderConfig, element: int, max_loops: int) -> int:
    """A row of K and one of V for each layer."""
    return 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * element
