"""Om's config: defaults, aliases, what shapes settle, and errors."""

from typing import Any

import pytest
from cases.om import CASES, TYPICAL
from treadle.reference.om_config import OmConfig
from treadle.reference.tensor_spec import parameter_count

BASE: dict[str, Any] = {
    "num_layers": 2,
    "vocab_size": 257,
    "dim_input": 24,
    "dim_hidden": 32,
    "dims_key": [8, 4],
    "dims_value": [6, 6],
    "num_heads": 2,
    "activation": "gelu",
    "segment_len": 12,
    "state_len": 4,
}
PUBLISHED = {
    "num_layers": 8,
    "vocab_size": 50259,
    "dim_input": 1024,
    "dim_hidden": 4096,
    "dims_key": [256, 128, 64],
    "dims_value": [256, 128, 64],
    "num_heads": 8,
    "activation": "gelu",
    "segment_len": 512,
    "state_len": 64,
    "attn_proj_rank": 64,
    "init_ngrams": [2, 3],
}


def test_published_sizes() -> None:
    config = OmConfig.from_dict(PUBLISHED)
    assert parameter_count(config.tensors()) == 356_610_048 and config.vocab_adj == 50264


def test_defaults() -> None:
    c = OmConfig.from_dict(BASE)
    assert c.activation == "gelu" and c.state_proj == "separate" and c.state_norm and not c.proj_out_bias
    assert c.attn_proj_rank == 12 and c.pad_token_id == 256 and c.vocab_adj == 264 and c.context_len == 0
    assert c.betas == (None, None) and c.num_iters == (1, 1) and c.position_embedders == (None, None)
    assert OmConfig.from_dict(BASE | {"attn_proj_rank": -1, "betas": None}) == c


def test_aliases() -> None:
    plain = OmConfig.from_dict(BASE | {"betas": [0.5, None], "init_convs": [2]})
    assert OmConfig.from_dict(BASE | {"scaling_factors": [0.5, None], "init_ngrams": [2]}) == plain
    with pytest.raises(ValueError, match="/init_ngrams: expected this or init_convs, got both"):
        OmConfig.from_dict(BASE | {"init_ngrams": [2], "init_convs": [2]})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shapes_settle_fields(case: Any) -> None:
    """All but what no shape shows."""
    config = OmConfig.from_dict(case.config)
    shapes = {name: spec.shape for name, spec in config.tensors().items()}
    silent = {"vocab_size", "segment_len", "activation", "betas", "position_embedders", "write_pos", "pad_token_id"}
    silent |= {"diff_skip_attn_norm", "num_iters"}
    if max(config.num_iters) > 1:
        silent.add("dims_key")
    given = {key: value for key, value in case.config.items() if key in silent}
    assert OmConfig.from_dict(given, shapes) == config


def test_shapes_must_agree() -> None:
    config = TYPICAL.config
    shapes = {name: spec.shape for name, spec in OmConfig.from_dict(config).tensors().items()}
    keys = ("num_layers", "vocab_adj", "dim_input", "dim_hidden", "num_heads", "state_len", "final_mlp_multiplier")
    for key in keys:
        with pytest.raises(ValueError, match=f"/{key}: expected .* as the weights have it"):
            OmConfig.from_dict(config | {key: 63}, shapes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims_key": [8]}, "/dims_key: expected one for each of 2 passes, got 1"),
        ({"dims_value": []}, "/dims_value: expected at least one pass"),
        ({"num_iters": [1]}, "/num_iters: expected one for each of 2 passes, got 1"),
        ({"num_iters": [1, 0]}, "/num_iters/1: expected an integer in 1 ... 256, got 0"),
        ({"num_iters": [1, 2], "diff_attn": True}, "/num_iters: expected 1 in every pass with diff_attn"),
        ({"betas": [0.5]}, "/betas: expected a list of 2"),
        ({"betas": [0.5, -1]}, "/betas/1: expected a number in 1e-06 ... 1000000 or null, got -1"),
        ({"activation": "ffnglu", "mlp_1221": True}, "/mlp_1221: expected false with ffnglu"),
        ({"dim_hidden": 33, "mlp_1221": True}, "/dim_hidden: expected an even number with mlp_1221, got 33"),
        ({"init_convs": [25]}, "/init_convs: expected at most dim_input 24, got 25"),
        ({"vocab_adj": 250}, "/vocab_size: expected at most the 250 rows of embedder.weight, got 257"),
        ({"pad_token_id": 257}, "/pad_token_id: expected a token id below 257, got 257"),
        ({"activation": None}, "/activation: expected a value, got none"),
        ({"attn_proj_rank": 0}, "/attn_proj_rank: expected at least 1, got 0"),
        ({"dims_value": [6, 65537]}, "/dims_value/1: expected an integer in 1 ... 65536, got 65537"),
        ({"num_heads": 4096, "attn_proj_rank": 300}, "/num_heads: expected at most 1048576 columns of all heads, got 122"),
        ({"position_embedders": [None]}, "/position_embedders: expected a list of 2"),
        ({"position_embedders": [None, 3]}, "/position_embedders/1: expected an object or null, got 3"),
        ({"position_embedders": [{"dim": 9}, None]}, "/position_embedders/0/dim: expected 8"),
        ({"position_embedders": [{"style": "x"}, None]}, "/position_embedders/0/style: expected om or neox"),
        ({"position_embedders": [{"seq_len": 19}, None]}, "/position_embedders/0/seq_len: expected at least 20"),
        ({"position_embedders": [{"dim_embedding_pct": 0.3}, None]}, "/position_embedders/0: expected an even number"),
        ({"position_embedders": [{"dim_embedding_pct": 1.5}, None]}, "/position_embedders/0/dim_embedding_pct: expected"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        OmConfig.from_dict(BASE | change)
    assert str(error.value).startswith(message)
