"""The Llama reference as a whole, and its config."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import Case
from cases.llama import CASES, TYPICAL
from judge import relative_error
from numpy.typing import NDArray
from treadle.reference import attention
from treadle.reference.decoder import KeysAndValues
from treadle.reference.decoder_config import DecoderConfig
from treadle.reference.rope_scaling import LLAMA_3_2
from treadle.reference.tensor_spec import parameter_count

ROOT = Path(__file__).parents[3]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_decoding_with_a_cache_is_the_whole_window(case: Case, tmp_path: Path) -> None:
    model = case.reference(case.write(tmp_path)[1])
    ids, mask, start = case.ids[:48], case.mask[:48], 0
    kept: dict[int, KeysAndValues] = {}

    def attend(layer: int, q: NDArray, rows: KeysAndValues) -> NDArray:
        k, v = (np.concatenate(pair) for pair in zip(kept[layer], rows)) if layer in kept else rows
        kept[layer] = k, v
        return attention(q, k, v, start=len(k) - len(q), mask=mask[: len(k)])

    whole, _ = model.forward(ids, attention_mask=mask)
    for count in (1, 16, 1, 1, 7, 22):
        rows = model.rows(ids[start : start + count], start, attend)
        assert relative_error(rows, whole[start : start + count]) < 1e-13
        start += count
    assert start == len(ids) and len(kept) == model.config.num_hidden_layers


@each_case
def test_against_a_plain_transcription(case: Case, tmp_path: Path) -> None:
    """One head at a time, rotation by complex numbers, the rescaled frequencies as the specification writes them."""
    model = case.reference(case.write(tmp_path)[1])
    c, w = model.config, model._weights
    ids = case.ids[:20]
    d, causal = c.head_dim, np.tril(np.ones((len(ids), len(ids))))

    def frequency(j: int) -> float:
        inverse = c.rope_theta ** (-2 * j / d)
        if c.scaling is None:
            return inverse
        length, wavelength = c.scaling.original_max_position_embeddings, 2 * math.pi / inverse
        low, high = c.scaling.low_freq_factor, c.scaling.high_freq_factor
        if wavelength < length / high:
            return inverse
        if wavelength > length / low:
            return inverse / c.scaling.factor
        u = (length / wavelength - low) / (high - low)
        return (1 - u) * inverse / c.scaling.factor + u * inverse

    def norm(x: NDArray, name: str) -> NDArray:
        return np.array([row / math.sqrt((row @ row) / len(row) + c.rms_norm_eps) for row in x]) * w[f"{name}.weight"]

    def dense(x: NDArray, name: str) -> NDArray:
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)

    def turn(x: NDArray) -> NDArray:
        out = x.copy()
        for j in range(d // 2):
            pair = [j, j + d // 2]
            z = (x[:, pair] @ [1, 1j]) * np.exp(1j * np.arange(len(x)) * frequency(j))
            out[:, pair] = np.stack([z.real, z.imag], axis=1)
        return out

    x = w["model.embed_tokens.weight"][ids]
    for layer in c.layers():
        y = norm(x, f"{layer}.input_layernorm")
        q, k, v = (dense(y, f"{layer}.self_attn.{p}_proj") for p in "qkv")
        heads = []
        for h in range(c.num_attention_heads):
            own = slice(h * d, (h + 1) * d)
            g = h // (c.num_attention_heads // c.num_key_value_heads)
            shared = slice(g * d, (g + 1) * d)
            p = np.exp(turn(q[:, own]) @ turn(k[:, shared]).T / math.sqrt(d)) * causal
            heads.append(p / p.sum(axis=1, keepdims=True) @ v[:, shared])
        x = x + dense(np.concatenate(heads, axis=1), f"{layer}.self_attn.o_proj")
        y = norm(x, f"{layer}.post_attention_layernorm")
        gate = dense(y, f"{layer}.mlp.gate_proj")
        x = x + dense(gate / (1 + np.exp(-gate)) * dense(y, f"{layer}.mlp.up_proj"), f"{layer}.mlp.down_proj")
    head = w["model.embed_tokens.weight" if c.tie_word_embeddings else "lm_head.weight"]
    assert relative_error(model.forward(ids)[0], norm(x, "model.norm") @ head.T) < 1e-12


#
# Config
#

PUBLISHED: dict[str, Any] = json.loads((ROOT / "models/llama/1b.json").read_text())


def test_published_parameter_count() -> None:
    config = DecoderConfig.from_dict(PUBLISHED)
    assert parameter_count(config.tensors()) == 1_235_814_400
    assert config.scaling == LLAMA_3_2
    assert parameter_count(DecoderConfig.from_dict(PUBLISHED | {"tie_word_embeddings": False}).tensors()) == 1_498_482_688


def test_defaults() -> None:
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    required = (*sizes, "max_position_embeddings")
    config = DecoderConfig.from_dict({key: PUBLISHED[key] for key in required})
    assert (config.num_key_value_heads, config.head_dim) == (32, 64)
    assert (config.rms_norm_eps, config.rope_theta, config.scaling) == (1e-6, 10000.0, None)
    assert (config.attention_bias, config.mlp_bias, config.tie_word_embeddings) == (False, False, False)
    for key in required:
        with pytest.raises(ValueError, match=f"/{key}: expected"):
            DecoderConfig.from_dict({k: PUBLISHED[k] for k in required if k != key})


def test_shapes_fill_in_what_is_absent_or_null() -> None:
    case = TYPICAL.config | {"head_dim": 14, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False}
    config = DecoderConfig.from_dict(case)
    shapes = {name: spec.shape for name, spec in config.tensors().items()}
    settled = {
        key: getattr(config, key)
        for key in (
            *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_key_value_heads", "head_dim"),
            *("attention_bias", "mlp_bias"),
        )
    }
    open_config = case | dict.fromkeys((*settled, "tie_word_embeddings"))
    assert DecoderConfig.from_dict(open_config, shapes) == config
    for key, value in settled.items():
        wrong = not value if isinstance(value, bool) else value + 1
        with pytest.raises(ValueError, match=f"/{key}: expected {value} as the weights have it, got {wrong}"):
            DecoderConfig.from_dict(open_config | {key: wrong}, shapes)
    del shapes["lm_head.weight"]
    assert DecoderConfig.from_dict(open_config, shapes).tie_word_embeddings
    with pytest.raises(ValueError, match="/tie_word_embeddings: expected True as the weights have it, got False"):
        DecoderConfig.from_dict(case, shapes)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_key_value_heads", 3, "3 does not divide num_attention_heads 32"),
        ("head_dim", 9, "expected an even head width, got 9"),
        ("hidden_act", "gelu", "expected silu, got 'gelu'"),
        ("rope_scaling", "llama3", "expected an object or null, got 'llama3'"),
        ("attention_bias", 1, "expected true or false, got 1"),
    ],
)
def test_bad_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^/{key}: {message}"):
        DecoderConfig.from_dict(PUBLISHED | {key: value})


def test_tiny_config() -> None:
    config = DecoderConfig.from_dict(json.loads((ROOT / "models/llama/tiny.json").read_text()))
    assert parameter_count(config.tensors()) < 80_000 and config.scaling
