import json
from pathlib import Path
from typing import Any

import pytest
from cases.neollm import CASES
from treadle.reference.neollm_config import FULL, LINEAR, NeoLLMConfig
from treadle.reference.tensor_spec import parameter_count

PUBLISHED: dict[str, Any] = {
    "vocab_size": 151665,
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}


def count(**changes: Any) -> int:
    return parameter_count(NeoLLMConfig.from_dict(PUBLISHED | changes).tensors())


def test_published_parameter_count() -> None:
    """Every count of docs/Families/neollm.md."""
    embedding = 151665 * 512
    assert count() == 110_886_152 == embedding + 33_233_672
    assert count(attn_output_gate=True) == embedding + 34_020_104
    assert count(fan_mode="extend") == embedding + 34_629_032
    assert count(fan_mode="extend", attn_output_gate=True) == embedding + 35_513_768
    assert count(norm_bias=True) == 110_886_152 + 12_800


def test_defaults() -> None:
    c = NeoLLMConfig.from_dict(PUBLISHED)
    assert c.layer_types == (LINEAR, LINEAR, LINEAR, FULL) * 3
    assert (c.head_dim, c.rotated, c.fan_width, c.periodic, c.plain) == (64, 16, 512, 64, 384)
    assert (c.key_width, c.value_width, c.linear_conv_kernel_dim) == (256, 512, 4)
    extended = NeoLLMConfig.from_dict(PUBLISHED | {"fan_mode": "extend"})
    assert (extended.fan_width, extended.periodic, extended.plain) == (576, 72, 432)
    for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"):
        with pytest.raises(ValueError, match=f"/{key}: expected a value, got none"):
            NeoLLMConfig.from_dict({k: value for k, value in PUBLISHED.items() if k != key})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shapes_fill_in_what_is_absent(case: Any) -> None:
    config = NeoLLMConfig.from_dict(case.config)
    shapes = {name: spec.shape for name, spec in config.tensors().items()}
    # What no shape tells; the ratio of the waves is found to within a column.
    said = ("rms_norm_eps", "rope_theta", "partial_rotary_factor", "max_position_embeddings", "norm_zero_centered")
    said += ("linear_num_key_heads", "fan_ratio")
    kept = {key: case.config[key] for key in said}
    found = NeoLLMConfig.from_dict(kept, shapes)
    assert found == config or LINEAR not in config.layer_types
    without = NeoLLMConfig.from_dict(kept | {"fan_ratio": None}, shapes)
    assert (without.fan_width, without.periodic) == (config.fan_width, config.periodic)
    for key in ("intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim", "num_hidden_layers"):
        with pytest.raises(ValueError, match=f"/{key}: expected .* as the weights have it, got"):
            NeoLLMConfig.from_dict(kept | {key: getattr(config, key) + 1}, shapes)
    for key in ("attn_output_gate", "linear_attn_fan", "norm_bias"):
        with pytest.raises(ValueError, match=f"/{key}: expected .* as the weights have it, got"):
            NeoLLMConfig.from_dict(kept | {key: not getattr(config, key)}, shapes)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hidden_size", 0, "expected an integer in 1 ... 65536, got 0"),
        ("layer_types", ["linear_attention"], "expected one for each of 12 layers, got 1"),
        ("num_key_value_heads", 3, "3 does not divide num_attention_heads 8"),
        ("linear_num_key_heads", 3, "3 does not divide linear_num_value_heads 16"),
        ("linear_conv_kernel_dim", 1, "expected an integer in 2 ... 16, got 1"),
        ("partial_rotary_factor", 0.05, "expected an even number of rotated columns, got 3 of 64"),
        ("partial_rotary_factor", 1.5, "expected a number in 1e-06 ... 1, got 1.5"),
        ("fan_ratio", 0.5, "expected periodic and other columns, got 256 and 0 of 512"),
        ("fan_ratio", 0.001, "expected periodic and other columns, got 0 and 512 of 512"),
        ("fan_mode", "wide", "expected paper or extend, got 'wide'"),
        ("gpas_per_layer", 3, "expected an integer in 1 ... 2, got 3"),
        ("rms_norm_eps", 0, "expected a number in 1e-20 ... 1, got 0"),
        ("attention_bias", True, "expected false: no projection with a bias is known"),
        ("attention_bias", 17, "expected true or false, got 17"),
        ("rope_scaling", "none", "expected an object or null, got 'none'"),
    ],
)
def test_bad_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^/{key}: {message}"):
        NeoLLMConfig.from_dict(PUBLISHED | {key: value})


def test_bad_values_in_lists_and_objects() -> None:
    types = ["linear_attention"] * 11 + ["sliding"]
    with pytest.raises(ValueError, match="^/layer_types/11: expected linear_attention or full_attention, got 'sliding'"):
        NeoLLMConfig.from_dict(PUBLISHED | {"layer_types": types})
    with pytest.raises(ValueError, match="^/rope_scaling/rope_type: expected default, got 'llama3'"):
        NeoLLMConfig.from_dict(PUBLISHED | {"rope_scaling": {"rope_type": "llama3"}})
    none = {"rope_scaling": {"rope_type": "default"}, "eos_token_id": []}
    assert NeoLLMConfig.from_dict(PUBLISHED | none) == NeoLLMConfig.from_dict(PUBLISHED)


def test_models() -> None:
    folder = Path(__file__).parents[3] / "models/neollm"
    tiny, published = (
        NeoLLMConfig.from_dict(json.loads((folder / f"{size}.json").read_text())) for size in ("tiny", "110m")
    )
    assert parameter_count(tiny.tensors()) < 110_000
    assert parameter_count(published.tensors()) == 110_886_152
