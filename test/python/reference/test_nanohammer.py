"""The NanoHammer reference as a whole, and its config."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import Case
from cases.nanohammer import CASES, TYPICAL
from judge import relative_error
from numpy.typing import NDArray
from treadle.reference import round_bf16
from treadle.reference.nanohammer import Memory, NanoHammer
from treadle.reference.nanohammer_config import NanoHammerConfig
from treadle.reference.rope_scaling import LLAMA_3_2
from treadle.reference.tensor_spec import parameter_count

ROOT = Path(__file__).parents[3]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_decoding_is_the_whole_window(case: Case, tmp_path: Path) -> None:
    model = case.reference(case.write(tmp_path)[1])
    ids, mask, memory, start = case.ids[:48], case.mask[:48], Memory(), 0
    whole, _ = model.forward(ids, attention_mask=mask)
    for count in (1, 16, 1, 1, 7, 22):
        piece = slice(start, start + count)
        assert relative_error(model.rows(ids[piece], mask[piece], memory), whole[piece]) < 1e-12
        start += count
    assert start == len(ids) == len(memory.mask) and len(memory.states) == model.config.num_hidden_layers


@each_case
def test_against_the_literal_prefill(case: Case, tmp_path: Path) -> None:
    """2 T rows, states first, through every layer as one sequence under the 2 T x 2 T mask (the specification's
    forward pass), by loops over heads, and complex numbers for what rotates."""
    model = case.reference(case.write(tmp_path)[1])
    c, w = model.config, model._weights
    count = 20
    ids, position = case.ids[:count], np.arange(count)

    def dense(x: NDArray, name: str) -> NDArray:
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)

    def norm(x: NDArray, name: str) -> NDArray:
        return np.array([row / math.sqrt((row @ row) / len(row) + c.rms_norm_eps) for row in x]) * w[f"{name}.weight"]

    def turn(x: NDArray, pairs: list[list[int]], frequencies: list[float], at: NDArray, sign: int) -> NDArray:
        out = x.copy()
        for pair, frequency in zip(pairs, frequencies):
            z = (x[:, pair] @ [1, 1j]) * np.exp(sign * 1j * at * frequency)
            out[:, pair] = np.stack([z.real, z.imag], axis=1)
        return out

    def holographic(s: NDArray, sign: int) -> NDArray:
        half = c.state_hidden_size // 2
        pairs = [[k, k + half] if c.state_pairing == "half" else [2 * k, 2 * k + 1] for k in range(half)]
        angles = [c.state_rope_theta ** (-2 * k / c.state_hidden_size) for k in range(half)]
        return turn(s, pairs, angles, position, sign)

    def rotary(x: NDArray) -> NDArray:
        d = c.head_dim
        angles = [c.rope_theta ** (-2 * j / d) for j in range(d // 2)]
        if c.scaling:
            angles = [c.scaling.scale(angle) for angle in angles]
        return turn(x, [[j, j + d // 2] for j in range(d // 2)], angles, np.concatenate([position, position]), 1)

    def layer_norm(x: NDArray, name: str) -> NDArray:
        unit = (x - x.mean()) / math.sqrt(x.var() + c.state_norm_eps)
        return unit * w[f"{name}.weight"] + w.get(f"{name}.bias", 0)

    def act(x: NDArray) -> NDArray:
        if c.state_act == "silu":
            return x / (1 + np.exp(-x))
        return np.array([v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in x])

    def cell(s: NDArray, name: str) -> NDArray:
        out = s.copy()
        for t in range(count):
            for h in range(c.num_state_heads):
                own = slice(h * c.state_head_dim, (h + 1) * c.state_head_dim)
                which = h if c.state_mlp_sharing == "per_head" else ()
                u = layer_norm(s[t, own], f"{name}.pre_norm")
                for part in ("mlp.0", "mlp.2"):
                    u = w[f"{name}.{part}.weight"][which] @ u
                    if c.state_mlp_bias:
                        u = u + w[f"{name}.{part}.bias"][which]
                    u = act(u) if part == "mlp.0" else u
                step = w[f"{name}.step_size"][h]
                if c.state_post_norm == "update":
                    out[t, own] = s[t, own] + step * layer_norm(u, f"{name}.post_norm")
                else:
                    out[t, own] = layer_norm(s[t, own] + step * u, f"{name}.post_norm")
        return out

    h = w["model.embed_tokens.weight"][ids]
    z = holographic(dense(h, "model.token_to_state"), 1)
    s = z if c.state_accumulate == "none" else np.cumsum(z, axis=0)
    if c.state_accumulate == "mean":
        s = s / (position + 1)[:, None]

    causal = position[None, :] <= position[:, None]
    sees_states = causal if c.state_visibility == "past" else np.eye(count, dtype=bool)
    # What state rows see cannot matter: here they see themselves.
    mask = np.block([[np.eye(count, dtype=bool), np.zeros((count, count), bool)], [sees_states, causal]])

    for layer in c.layers():
        s = cell(s, f"{layer}.state_cell")
        late = np.concatenate([np.zeros_like(s[:1]), s[:-1]]) if c.state_lag else s
        x = np.concatenate([dense(holographic(late, -1), f"{layer}.state_projection"), h])
        y = norm(x, f"{layer}.input_layernorm")
        q, k, v = (dense(y, f"{layer}.self_attn.{p}_proj") for p in "qkv")
        heads = []
        for head in range(c.num_attention_heads):
            own = slice(head * c.head_dim, (head + 1) * c.head_dim)
            group = head // (c.num_attention_heads // c.num_key_value_heads)
            shared = slice(group * c.head_dim, (group + 1) * c.head_dim)
            scores = rotary(q[:, own]) @ rotary(k[:, shared]).T / math.sqrt(c.head_dim)
            p = np.exp(scores - scores.max()) * mask
            heads.append(p / p.sum(axis=1, keepdims=True) @ v[:, shared])
        x = x + dense(np.concatenate(heads, axis=1), f"{layer}.self_attn.o_proj")
        y = norm(x, f"{layer}.post_attention_layernorm")
        gate = dense(y, f"{layer}.mlp.gate_proj")
        x = x + dense(gate / (1 + np.exp(-gate)) * dense(y, f"{layer}.mlp.up_proj"), f"{layer}.mlp.down_proj")
        h = x[count:]
    head_matrix = w["model.embed_tokens.weight" if c.tie_word_embeddings else "lm_head.weight"]
    assert relative_error(model.forward(ids)[0], norm(h, "model.norm") @ head_matrix.T) < 1e-11


def test_what_bf16_rounds(tmp_path: Path) -> None:
    """Matrices, but for those of the cells; K and V of both lanes; and not the integral."""
    model = TYPICAL.reference(TYPICAL.write(tmp_path)[1], storage="bf16")
    memory = Memory()
    logits = model.rows(TYPICAL.ids[:8], None, memory)
    for k, v in [*memory.tokens.values(), *memory.states.values()]:
        assert (round_bf16(k) == k).all() and (round_bf16(v) == v).all()
    assert memory.integral is not None and (round_bf16(memory.integral) != memory.integral).any()

    def rounded(name: str, array: NDArray) -> NDArray:
        return round_bf16(array) if array.ndim == 2 and "state_cell" not in name else array

    tensors = {name: rounded(name, array) for name, array in model._weights.items()}
    again, _ = NanoHammer(TYPICAL.config, tensors, storage="bf16").forward(TYPICAL.ids[:8])
    np.testing.assert_array_equal(again, logits)


#
# Config
#

PUBLISHED: dict[str, Any] = json.loads((ROOT / "models/nanohammer/1.5b.json").read_text())


def test_published_parameter_count() -> None:
    tensors = NanoHammerConfig.from_dict(PUBLISHED).tensors()
    assert parameter_count(tensors) == 1_516_377_856 and len(tensors) == 308


def test_the_published_values_are_the_defaults() -> None:
    config = NanoHammerConfig.from_dict({})
    assert config == NanoHammerConfig.from_dict(PUBLISHED)
    assert config.scaling == LLAMA_3_2 and config.state_head_dim == 32
    assert NanoHammerConfig.from_dict({"rope_scaling": None}).scaling is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shapes_fill_in_what_is_absent_or_null(case: Case) -> None:
    config = NanoHammerConfig.from_dict(case.config)
    shapes = {name: spec.shape for name, spec in config.tensors().items()}
    settled = {
        key: getattr(config, key)
        for key in (
            *("state_hidden_size", "num_state_heads", "state_mlp_ratio", "state_mlp_sharing", "state_norm_bias"),
            *("state_mlp_bias", "token_to_state_bias", "state_projection_bias", "num_key_value_heads"),
        )
    }
    open_config = case.config | dict.fromkeys(settled)
    assert NanoHammerConfig.from_dict(open_config, shapes) == config
    for key, value in settled.items():
        wrong = {"shared": "per_head", "per_head": "shared"}.get(value) or (
            not value if isinstance(value, bool) else value + 1
        )
        with pytest.raises(ValueError, match=f"/{key}: expected {value!r} as the weights have it, got {wrong!r}"):
            NanoHammerConfig.from_dict(open_config | {key: wrong}, shapes)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("state_hidden_size", 511, "expected an even size, got 511"),
        ("num_state_heads", 3, "3 does not divide state_hidden_size 512"),
        ("state_lag", 2, "expected an integer in 0 ... 1, got 2"),
        ("state_lag", True, "expected an integer in 0 ... 1, got True"),
        ("state_accumulate", "last", "expected sum or mean or none, got 'last'"),
        ("state_pairing", "per_head", "expected interleaved or half, got 'per_head'"),
        ("state_act", "relu", "expected silu or gelu, got 'relu'"),
        ("state_norm_eps", 0, "expected a number in 1e-20 ... 1, got 0"),
    ],
)
def test_bad_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^/{key}: {message}"):
        NanoHammerConfig.from_dict(PUBLISHED | {key: value})


def test_tiny_config() -> None:
    config = NanoHammerConfig.from_dict(json.loads((ROOT / "models/nanohammer/tiny.json").read_text()))
    assert parameter_count(config.tensors()) < 90_000
