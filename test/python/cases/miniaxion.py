"""MiniAxion's cases."""

from typing import Any

from pairwise import Row, covering_rows
from treadle.reference.miniaxion_config import MiniAxionConfig

from .case import Case, Flip

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


def _allowed(row: Row) -> bool:
    return not (row.get("kv_heads") == "2" and row.get("sizes", {}).get("n_heads") == 3)


def _case(number: int, row: Row) -> Case:
    options = dict(row)
    loops, sizes, layers = (options.pop(key) for key in ("loops", "sizes", "layers"))
    kv_heads = options.pop("kv_heads")
    n_kv_heads = sizes["n_heads"] if kv_heads == "all" else int(kv_heads)
    config = {"model_type": "miniaxion", **sizes, **layers, "n_kv_heads": n_kv_heads, **options}
    name = f"{number:02}-d{sizes['d_model']}-l{layers['n_layers']}-kv{kv_heads}-t{options['max_seq_len']}-x{loops}"
    return _of(f"miniaxion-{name}", config, 100 + number, loops)


def _of(name: str, config: dict[str, Any], seed: int, loops: int) -> Case:
    return Case(name, config, seed, config["max_seq_len"], config["d_model"], loops, "n_think_loops")


CASES = [_case(number, row) for number, row in enumerate(covering_rows(FACTORS, _allowed))]

PUBLISHED = {
    "model_type": "miniaxion",
    "d_model": 256,
    "n_heads": 8,
    "n_kv_heads": 4,
    "n_layers": 6,
    "n_shared_layers": 2,
    "d_ff": 512,
    "lora_rank": 16,
    "vocab_size": 2048,
    "max_seq_len": 512,
}
FURTHER = [_of("miniaxion-published", PUBLISHED, 99, 2)]

# Loops and thinks, with several heads for each key.
TYPICAL = CASES[13]

_VALUES = ("rope_pairing", "rope_theta", "lora_scale", "rms_norm_eps", "think_blend")
OPTIONS = {*_VALUES, "loops", "use_thinking_tokens", "weight_tying"}


def flips(case: Case) -> dict[str, Flip]:
    config, loops = case.config, case.loops
    thinks = config["use_thinking_tokens"] and loops > 1
    found: dict[str, Flip] = {}
    for option in _VALUES:
        if option != "think_blend" or thinks:
            first, second = FACTORS[option]
            found[option] = Flip(config | {option: second if config[option] == first else first})
    if config["use_thinking_tokens"]:
        found["loops"] = Flip(config, loops % 4 + 1)
    if thinks:
        found["use_thinking_tokens"] = Flip(config | {"use_thinking_tokens": False}, unused=frozenset({"think_gate"}))
    if not config["weight_tying"]:
        found["weight_tying"] = Flip(config | {"weight_tying": True}, unused=frozenset({"output_head.weight"}))
    return found


def deepen(config: dict[str, Any], layers: int) -> dict[str, Any]:
    """`layers` of its layers lie before and behind the shared ones."""
    return config | {"n_layers": config.get("n_shared_layers", 2) + layers}


def row_bytes(config: MiniAxionConfig, element: int, max_loops: int) -> int:
    """A row of K and one of V for each layer that runs."""
    slots = config.n_layers + config.n_shared_layers * (max_loops - 1)
    return 2 * slots * config.n_kv_heads * config.head_dim * element
