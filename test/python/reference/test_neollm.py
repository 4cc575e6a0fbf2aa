"""The NeoLLM reference as a whole."""

import math
from pathlib import Path

import numpy as np
import pytest
from cases import Case
from cases.neollm import CASES, TYPICAL
from judge import BF16_TOLERANCE, relative_error
from numpy.typing import NDArray
from treadle.reference import NeoLLM, gated_delta_rule, gated_delta_rule_chunked, round_bf16
from treadle.reference.neollm import Memory
from treadle.reference.neollm_config import FULL

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def weights(case: Case, tmp_path: Path) -> Path:
    return case.write(tmp_path)[1]


@each_case
def test_decoding_with_a_memory_is_the_whole_window(case: Case, weights: Path) -> None:
    model, memory, start = case.reference(weights), Memory(), 0
    ids, mask = case.ids[:40], case.mask[:40]
    whole, _ = model.forward(ids, attention_mask=mask)
    for count in (1, 2, 16, 1, 1, 19):
        part = slice(start, start + count)
        assert relative_error(model.rows(ids[part], mask[part], memory), whole[part]) < 1e-12
        start += count
    assert start == len(ids)


@each_case
def test_chunks_give_the_same(case: Case, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = case.reference(weights)
    expected = case.logits(model, case.ids[:100], case.mask[:100])
    monkeypatch.setattr(NeoLLM, "recurrence", staticmethod(gated_delta_rule_chunked))
    assert relative_error(case.logits(model, case.ids[:100], case.mask[:100]), expected) < 1e-12


@each_case
def test_against_a_plain_transcription(case: Case, weights: Path) -> None:
    """One token, head and channel at a time, rotation by complex numbers, the recurrence as a matrix product."""
    model = case.reference(weights)
    c, w = model.config, model._weights
    ids = case.ids[:14]
    count = len(ids)

    def unit(x: NDArray, eps: float) -> NDArray:
        return x / math.sqrt((x @ x) / len(x) + eps)

    def norm(x: NDArray, name: str) -> NDArray:
        gain = w[f"{name}.weight"] + (1 if c.norm_zero_centered else 0)
        if c.norm_bias:
            return np.array([unit(row - row.mean(), c.rms_norm_eps) for row in x]) * gain + w[f"{name}.bias"]
        return np.array([unit(row, c.rms_norm_eps) for row in x]) * gain

    def head_norm(x: NDArray, name: str) -> NDArray:
        return unit(x, c.rms_norm_eps) * (w[f"{name}.weight"] + (1 if c.norm_zero_centered else 0))

    def waves(x: NDArray, name: str) -> NDArray:
        u = x @ w[f"{name}.weight"].T
        if f"{name}.bias" in w:
            bias = w[f"{name}.bias"]
            u[:, u.shape[1] - len(bias) :] += bias
        width = c.hidden_size + (int(c.hidden_size * c.fan_ratio) if c.fan_mode == "extend" else 0)
        p = int(width * c.fan_ratio)
        assert u.shape[1] == width - p
        return np.concatenate([np.exp(1j * u[:, :p]).real, np.exp(1j * u[:, :p]).imag, u[:, p:]], axis=1)

    def turn(x: NDArray, position: int) -> NDArray:
        out, r = x.copy(), int(c.head_dim * c.partial_rotary_factor)
        for j in range(r // 2):
            z = complex(x[j], x[j + r // 2]) * np.exp(1j * position * c.rope_theta ** (-2 * j / r))
            out[j], out[j + r // 2] = z.real, z.imag
        return out

    def full(f: NDArray, name: str) -> NDArray:
        d, group = c.head_dim, c.num_attention_heads // c.num_key_value_heads
        q, k, v = (f @ w[f"{name}.{p}_proj.weight"].T for p in "qkv")
        heads = []
        for h in range(c.num_attention_heads):
            if c.attn_output_gate:
                own, gate = q[:, 2 * h * d : (2 * h + 1) * d], q[:, (2 * h + 1) * d : (2 * h + 2) * d]
            else:
                own, gate = q[:, h * d : (h + 1) * d], None
            g = slice(h // group * d, (h // group + 1) * d)
            turned = [
                np.array([turn(head_norm(y, f"{name}.{n}_norm"), t) for t, y in enumerate(x)])
                for x, n in ((own, "q"), (k[:, g], "k"))
            ]
            p = np.exp(turned[0] @ turned[1].T / math.sqrt(d)) * np.tril(np.ones((count, count)))
            y = p / p.sum(axis=1, keepdims=True) @ v[:, g]
            heads.append(y if gate is None else y / (1 + np.exp(-gate)))
        return np.concatenate(heads, axis=1) @ w[f"{name}.o_proj.weight"].T

    def delta(f: NDArray, name: str) -> NDArray:
        nk, nv, dk, dv = c.linear_num_key_heads, c.linear_num_value_heads, c.linear_key_head_dim, c.linear_value_head_dim
        r = nv // nk
        qkvz = (f @ w[f"{name}.in_proj_qkvz.weight"].T).reshape(count, nk, 2 * dk + 2 * r * dv)
        ba = (f @ w[f"{name}.in_proj_ba.weight"].T).reshape(count, nk, 2 * r)
        q, k, v, z = np.split(qkvz, [dk, 2 * dk, 2 * dk + r * dv], axis=2)
        x = np.concatenate([part.reshape(count, -1) for part in (q, k, v)], axis=1)
        taps = w[f"{name}.conv1d.weight"][:, 0]
        y = np.array(
            [sum(taps[:, -1 - back] * x[t - back] for back in range(min(taps.shape[1], t + 1))) for t in range(count)]
        )
        y = y / (1 + np.exp(-y))
        out = np.zeros((count, nv, dv))
        for h in range(nv):
            s, g = np.zeros((dk, dv)), h // r
            for t in range(count):
                own = [y[t, i * nk * dk + g * dk :][:dk] for i in (0, 1)]
                qt, kt = (a / math.sqrt(a @ a + 1e-6) for a in own)
                vt = y[t, 2 * nk * dk + h * dv :][:dv]
                beta = 1 / (1 + math.exp(-ba[t, g, h % r]))
                rate = math.exp(w[f"{name}.A_log"][h])
                decay = math.exp(-rate * math.log1p(math.exp(ba[t, g, r + h % r] + w[f"{name}.dt_bias"][h])))
                s = decay * (s - beta * np.outer(kt, kt) @ s) + beta * np.outer(kt, vt)
                gate = z[t, g, (h % r) * dv :][:dv]
                o = s.T @ qt / math.sqrt(dk)
                out[t, h] = w[f"{name}.norm.weight"] * unit(o, c.rms_norm_eps) * gate / (1 + np.exp(-gate))
        return out.reshape(count, -1) @ w[f"{name}.out_proj.weight"].T

    def poly(a: NDArray, name: str) -> NDArray:
        terms = [wi * np.array([unit(row**n, 1e-6) for row in a]) for wi, n in zip(w[f"{name}.weight"], (3, 2, 1))]
        return sum(terms) + w[f"{name}.bias"][0]

    x = w["model.embed_tokens.weight"][ids]
    for i, kind in enumerate(c.layer_types):
        name = f"model.layers.{i}"
        mixer = f"{name}.{'self' if kind == FULL else 'linear'}_attn"
        alphas = [w.get(f"{name}.{n}.alpha", w.get(f"{name}.gpas.alpha"))[0] for n in ("gpas_attn", "gpas_mlp")]
        shrink = [1 - a / (1 + math.exp(-a)) for a in alphas]
        f = norm(x, f"{name}.input_layernorm") / math.sqrt(i + 1)
        if kind == FULL or c.linear_attn_fan:
            f = waves(f, f"{mixer}.fan_layer.input_linear")
        x = (x + (full if kind == FULL else delta)(f, mixer)) * shrink[0]
        h = norm(x, f"{name}.post_attention_layernorm") / math.sqrt(i + 1)
        gate, up = (h @ w[f"{name}.mlp.{p}_proj.weight"].T for p in ("gate", "up"))
        inner = poly(gate, f"{name}.mlp.act_fn") * up
        x = (x + inner @ w[f"{name}.mlp.down_proj.weight"].T) * shrink[1]
    head = w["model.embed_tokens.weight" if c.tie_word_embeddings else "lm_head.weight"]
    assert relative_error(model.forward(ids)[0], norm(x, "model.norm") @ head.T) < 1e-12


@pytest.fixture
def case() -> Case:
    return TYPICAL


def test_what_bf16_rounds(case: Case, weights: Path) -> None:
    """Matrices and what meets them, rows of K and V; not the recurrence's memory, the taps or the norms."""
    model, memory = case.reference(weights, storage="bf16"), Memory()
    ids = case.ids[:8]
    logits = model.rows(ids, None, memory)
    for name, rows in memory.rows.items():
        stored_as_is = name.endswith((".conv", ".delta"))
        assert (round_bf16(rows) == rows).all() != stored_as_is, name

    rounded = {name: round_bf16(array) if array.ndim == 2 else array for name, array in model._weights.items()}
    np.testing.assert_array_equal(NeoLLM(case.config, rounded, storage="bf16").forward(ids)[0], logits)
    assert relative_error(NeoLLM(case.config, rounded).forward(ids)[0], logits) > BF16_TOLERANCE


@pytest.mark.parametrize("case", CASES[:6], ids=lambda case: case.name)
def test_every_sublayer_has_size_one(case: Case, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or less in deep layers, whose input is scaled down."""
    sizes: list[float] = []
    linear = NeoLLM._linear

    def watched(self: NeoLLM, name: str, x: NDArray) -> NDArray:
        y = linear(self, name, x)
        if name.endswith(("o_proj", "out_proj", "down_proj")):
            sizes.append(float(np.sqrt((y * y).mean())))
        return y

    monkeypatch.setattr(NeoLLM, "_linear", watched)
    case.logits(case.reference(weights), case.ids)
    assert len(sizes) == 2 * case.config["num_hidden_layers"]
    assert 0.05 < min(sizes) and max(sizes) < 5


def test_a_tied_head_may_be_stored(case: Case, weights: Path) -> None:
    tied = next(c for c in CASES if c.config["tie_word_embeddings"])
    tensors = tied.reference(tied.write(weights.parent)[1])._weights
    embedding = tensors["model.embed_tokens.weight"]
    expected = NeoLLM(tied.config, tensors).forward(tied.ids[:4])[0]
    stored = NeoLLM(tied.config, tensors | {"lm_head.weight": embedding.copy()}).forward(tied.ids[:4])[0]
    np.testing.assert_array_equal(stored, expected)
    with pytest.raises(ValueError, match="/tie_word_embeddings: expected False as the weights have it, got True"):
        NeoLLM(tied.config, tensors | {"lm_head.weight": embedding + 1})


def test_the_default_is_row_by_row() -> None:
    assert NeoLLM.recurrence is gated_delta_rule
