"""Om's cases."""

from typing import Any

from pairwise import Row, covering_rows
from treadle.reference.om_config import MLP_ACTIVATIONS, OmConfig

from .case import Case, Flip

FACTORS = {
    # With dimensions that are no multiple of 16, or all of them; one without a rank: it is dim_input // num_heads.
    "sizes": (
        {"vocab_size": 37, "dim_input": 40, "dim_hidden": 50, "num_heads": 3, "attn_proj_rank": 5},
        {"vocab_size": 64, "dim_input": 32, "dim_hidden": 64, "num_heads": 2, "attn_proj_rank": 16},
        {"vocab_size": 51, "dim_input": 36, "dim_hidden": 72, "num_heads": 2},
    ),
    "passes": (
        {"dims_key": [12], "dims_value": [10]},
        {"dims_key": [8, 4], "dims_value": [16, 12]},
        {"dims_key": [16, 8, 4], "dims_value": [16, 8, 7]},
    ),
    "segments": (
        {"segment_len": 7, "state_len": 3, "num_layers": 3},
        {"segment_len": 24, "state_len": 5, "num_layers": 1},
        {"segment_len": 144, "state_len": 6, "num_layers": 2},
    ),
    "init": (
        {},
        {"init_convs": [3, 1, 2]},
        {"init_convs": [2, 3], "init_conv_mode": "conv"},
    ),
    "rotary": ("none", "om", "neox"),
    "scales": ("open", "given", "mixed"),
    "iterations": ("once", "first", "last"),
    "activation": MLP_ACTIVATIONS,
    "attn_normalize": (False, True),
    "cope": (False, True),
    "diff_attn": (False, True),
    "mlp_1221": (False, True),
    "final_mlp_multiplier": (1, 2),
    "state_proj": ("separate", "shared"),
    "state_norm": (True, False),
    "proj_out_bias": (False, True),
    "write_pos": ("forward", "reversed"),
    "diff_skip_attn_norm": (True, False),
    "padding": ({}, {"pad_token_id": 5}),
}

# The published base leaves almost no rotation; these turn enough to show.
_OM = {"style": "om", "base": 1.3}
_NEOX = {"style": "neox"}


def _allowed(row: Row) -> bool:
    if row.get("diff_attn") and row.get("iterations", "once") != "once":
        return False
    return not (row.get("mlp_1221") and row.get("activation", "").startswith("ffn"))


def _embedders(style: str, dims: list[int]) -> list[dict[str, Any] | None]:
    kinds = {
        "none": [None, None, None],
        "om": [_OM, _OM | {"dim_embedding_pct": 1.0}, _OM],
        "neox": [_NEOX, None, _NEOX | {"base": 500.0}],
    }[style]
    return [kind and {"dim": dim, "seq_len": 640, **kind} for kind, dim in zip(kinds, dims)]


def _case(number: int, row: Row) -> Case:
    options = dict(row)
    sizes, passes, segments, init, padding = (
        options.pop(key) for key in ("sizes", "passes", "segments", "init", "padding")
    )
    count = len(passes["dims_value"])
    options["position_embedders"] = _embedders(options.pop("rotary"), passes["dims_key"])
    scales = {"open": [None] * 3, "given": [0.2, 0.4, 0.3], "mixed": [0.4, None, None]}[options.pop("scales")]
    options["betas"] = scales[:count]
    options["num_iters"] = [1] * count
    place, iterations = {"once": (0, 1), "first": (0, 2), "last": (-1, 3)}[options.pop("iterations")]
    options["num_iters"][place] = iterations
    config = {"model_type": "om", **sizes, **passes, **segments, **init, **options, **padding}
    name = f"om-{number:02}-d{sizes['dim_input']}-p{count}-l{segments['segment_len']}-{options['activation']}"
    window = {7: 64, 24: 96, 144: 320}[segments["segment_len"]]
    width = sizes["dim_input"] * options["final_mlp_multiplier"]
    return Case(name, config, 600 + number, window, width, is_endless=True, vocabulary=-(-sizes["vocab_size"] // 8) * 8)


CASES = [_case(number, row) for number, row in enumerate(covering_rows(FACTORS, _allowed))]
FURTHER: list[Case] = []

# Several segments, passes and n-grams, and columns of padding in the logits.
TYPICAL = next(
    case
    for case in CASES
    if case.config["segment_len"] < 20
    and len(case.config["dims_key"]) > 1
    and case.config.get("init_convs")
    and case.config["vocab_size"] % 8
)

# A hundred turns, each of which rewrites the states.
LONG = Case(
    "om-long",
    {
        "model_type": "om",
        "vocab_size": 53,
        "dim_input": 24,
        "dim_hidden": 40,
        "num_layers": 2,
        "num_heads": 2,
        "dims_key": [8, 6],
        "dims_value": [8, 6],
        "attn_proj_rank": 5,
        "segment_len": 40,
        "state_len": 4,
        "activation": "gelu",
    },
    691,
    4096,
    24,
    is_endless=True,
    vocabulary=56,
)

OPTIONS = {
    "activation",
    "attn_normalize",
    "betas",
    "cope",
    "diff_skip_attn_norm",
    "init_convs",
    "num_iters",
    "pad_token_id",
    "position_embedders",
    "proj_out_bias",
    "segment_len",
    "state_norm",
    "write_pos",
}


def flips(case: Case) -> dict[str, Flip]:
    config = case.config
    c = OmConfig.from_dict(config)
    names = list(c.tensors())
    found: dict[str, Flip] = {}

    def flip(option: str, value: Any, unused: str | None = None) -> None:
        found[option] = Flip(config | {option: value}, unused=frozenset(n for n in names if unused and unused in n))

    flip("betas", [0.9] * c.passes if c.betas[0] is None else [None] * c.passes)
    plain = [p for p in range(c.passes) if not c.is_hopfield(p)]
    if rotated := [p for p in plain if c.position_embedders[p]]:
        flip("position_embedders", [None] * c.passes)
    elif plain:
        flip("position_embedders", [_NEOX] * c.passes)
    if max(c.num_iters) > 1:
        flip("num_iters", [count + (count > 1) for count in c.num_iters])
    if c.activation in ("gelu", "relu", "abs"):
        flip("activation", "relu" if c.activation != "relu" else "gelu")
    if c.proj_out_bias:
        flip("proj_out_bias", False, "proj_out.bias")
    if c.cope:
        flip("cope", False, "cope_emb")
    if c.attn_normalize:
        flip("attn_normalize", False, ".norm_")
    if c.diff_attn and not c.diff_skip_attn_norm:
        flip("diff_skip_attn_norm", True, "attn_norm")
    if c.context_len:
        flip("pad_token_id", (c.pad_token_id + 1) % c.vocab_size)
        flip("init_convs", [], "convs." if c.init_conv_mode == "conv" else "ngram_embs.")
    if c.segment_len < 30:  # where a test's window has several segments
        if not c.cope:
            flip("segment_len", c.segment_len + 1)
        if c.state_norm:
            flip("state_norm", False, ".state_norm")
        if rotated:
            flip("write_pos", "forward" if c.write_pos == "reversed" else "reversed")
    return found


def deepen(config: dict[str, Any], layers: int) -> dict[str, Any]:
    return config | {"num_layers": layers}


def row_bytes(config: OmConfig, element: int, max_loops: int) -> int:
    """Keys of each branch, as they come where contextual positions need these and rotated where that differs, and
    values, for each head of each pass of each layer."""
    width = 0
    for p in range(config.passes):
        turns = config.position_embedders[p] is not None and not config.is_hopfield(p)
        copies = 2 if config.cope and turns else 1
        width += config.branches * (copies * config.key_width(p) + config.dims_value[p])
    return config.num_layers * config.num_heads * width * element
