"""The MiniAxion reference as a whole."""

import math
from pathlib import Path

import numpy as np
import pytest
from cases import Case
from cases.miniaxion import CASES
from judge import BF16_TOLERANCE, relative_error
from numpy.typing import NDArray
from treadle.reference import MiniAxion, attention, round_bf16

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def weights(case: Case, tmp_path: Path) -> Path:
    return case.write(tmp_path)[1]


class Cache:
    """K and V of the rows so far, for each effective layer."""

    def __init__(self, mask: NDArray):
        self._mask = mask
        self._rows: dict[int, tuple[NDArray, NDArray]] = {}

    def attend(self, slot: int, q: NDArray, k: NDArray, v: NDArray) -> NDArray:
        if slot in self._rows:
            k, v = (np.concatenate(pair) for pair in zip(self._rows[slot], (k, v)))
        self._rows[slot] = k, v
        return attention(q, k, v, start=len(k) - len(q), mask=self._mask[: len(k)])

    def __len__(self) -> int:
        return len(self._rows)


@each_case
def test_decoding_with_a_cache_is_the_whole_window(case: Case, weights: Path) -> None:
    model = case.reference(weights)
    ids, mask, cache, start = case.ids[:48], case.mask[:48], Cache(case.mask), 0
    whole, _ = model.forward(ids, attention_mask=mask, n_think_loops=case.loops)
    for count in (1, 16, 1, 1, 7, 22):
        rows = model.rows(ids[start : start + count], start, cache.attend, case.loops)
        assert relative_error(rows, whole[start : start + count]) < 1e-13
        start += count
    c = model.config
    passes = case.loops if c.use_thinking_tokens else 1
    assert start == len(ids) and len(cache) == c.n_layers + (passes - 1) * c.n_shared_layers


@each_case
def test_against_a_plain_transcription(case: Case, weights: Path) -> None:
    """Dense matrices, one head at a time, rotation by complex numbers."""
    model = case.reference(weights)
    c, w = model.config, model._weights
    ids = case.ids[:20]
    causal = np.tril(np.ones((len(ids), len(ids))))

    def norm(x: NDArray, name: str) -> NDArray:
        return np.array([row / math.sqrt((row @ row) / c.d_model + c.rms_norm_eps) for row in x]) * w[name]

    def dense(x: NDArray, name: str) -> NDArray:
        return x @ (c.lora_scale * w[f"{name}.up.weight"] @ w[f"{name}.down.weight"]).T

    def turn(x: NDArray) -> NDArray:
        out = x.copy()
        for j in range(c.head_dim // 2):
            pair = [j, j + c.head_dim // 2] if c.rope_pairing == "half" else [2 * j, 2 * j + 1]
            z = (x[:, pair] @ [1, 1j]) * np.exp(1j * np.arange(len(x)) * c.rope_theta ** (-2 * j / c.head_dim))
            out[:, pair] = np.stack([z.real, z.imag], axis=1)
        return out

    def block(x: NDArray, name: str) -> NDArray:
        y = norm(x, f"{name}.norm1.weight")
        q, k, v = (dense(y, f"{name}.attn.{p}_proj") for p in "qkv")
        heads = []
        for h in range(c.n_heads):
            own = slice(h * c.head_dim, (h + 1) * c.head_dim)
            g = h * c.n_kv_heads // c.n_heads
            shared = slice(g * c.head_dim, (g + 1) * c.head_dim)
            p = np.exp(turn(q[:, own]) @ turn(k[:, shared]).T / math.sqrt(c.head_dim)) * causal
            heads.append(p / p.sum(axis=1, keepdims=True) @ v[:, shared])
        x = x + dense(np.concatenate(heads, axis=1), f"{name}.attn.o_proj")
        y = norm(x, f"{name}.norm2.weight")
        gate = dense(y, f"{name}.ffn.gate_proj")
        return x + dense(gate / (1 + np.exp(-gate)) * dense(y, f"{name}.ffn.up_proj"), f"{name}.ffn.down_proj")

    x = w["token_embedding.weight"][ids]
    for i in range((c.n_layers - c.n_shared_layers) // 2):
        x = block(x, f"entry_layers.{i}")
    x0 = x
    passes = case.loops if c.use_thinking_tokens else 1
    g = 1 / (1 + math.exp(-w["think_gate"])) if passes > 1 else 1
    for p in range(passes):
        for i in range(c.n_shared_layers):
            x = block(x, f"shared_layers.{i}")
            last = i == c.n_shared_layers - 1
            if p < passes - 1 and (last or c.think_blend == "layer"):
                x = g * x + (1 - g) * x0
    for i in range(c.n_layers - c.n_shared_layers - (c.n_layers - c.n_shared_layers) // 2):
        x = block(x, f"exit_layers.{i}")
    head = w["token_embedding.weight" if c.weight_tying else "output_head.weight"]
    expected = norm(x, "final_norm.weight") @ head.T
    assert relative_error(model.forward(ids, n_think_loops=case.loops)[0], expected) < 1e-12


@pytest.fixture
def case() -> Case:
    return next(case for case in CASES if case.loops > 1 and case.config["use_thinking_tokens"])


def test_what_bf16_rounds(case: Case, weights: Path) -> None:
    """Rows of K and V, q only where it meets them; and the matrices, so that rounding these beforehand changes nothing."""
    model = case.reference(weights, storage="bf16")
    seen = []

    def attend(slot: int, q: NDArray, k: NDArray, v: NDArray) -> NDArray:
        seen.append(slot)
        assert (round_bf16(k) == k).all() and (round_bf16(v) == v).all() and (round_bf16(q) != q).any()
        return attention(q, k, v, storage="bf16")

    ids = case.ids[:8]
    logits = model.rows(ids, 0, attend, n_think_loops=2)
    assert seen == list(range(model.config.n_layers + model.config.n_shared_layers))

    rounded = {name: round_bf16(array) if array.ndim == 2 else array for name, array in model._weights.items()}
    again, _ = MiniAxion(case.config, rounded, storage="bf16").forward(ids, n_think_loops=2)
    np.testing.assert_array_equal(again, logits)
    matrices_alone, _ = MiniAxion(case.config, rounded).forward(ids, n_think_loops=2)
    assert relative_error(matrices_alone, logits) > BF16_TOLERANCE


@pytest.mark.parametrize("case", CASES[:6], ids=lambda case: case.name)
def test_every_sublayer_has_size_one(case: Case, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[float] = []
    low_rank = MiniAxion._low_rank

    def watched(self: MiniAxion, name: str, x: NDArray) -> NDArray:
        y = low_rank(self, name, x)
        if name.endswith(("o_proj", "down_proj")):
            sizes.append(float(np.sqrt((y * y).mean())))
        return y

    monkeypatch.setattr(MiniAxion, "_low_rank", watched)
    case.logits(case.reference(weights), case.ids)
    assert len(sizes) >= 2 * case.config["n_layers"]
    assert 0.2 < min(sizes) and max(sizes) < 5


@pytest.mark.parametrize("loops", [-1, 0, 1])
def test_at_least_one_pass(case: Case, weights: Path, loops: int) -> None:
    model = case.reference(weights)
    expected, _ = model.forward(case.ids[:4], n_think_loops=1)
    np.testing.assert_array_equal(model.forward(case.ids[:4], n_think_loops=loops)[0], expected)


def test_a_tied_head_may_be_stored(case: Case, weights: Path) -> None:
    tied = next(c for c in CASES if c.config["weight_tying"])
    tensors = tied.reference(tied.write(weights.parent)[1])._weights
    embedding = tensors["token_embedding.weight"]
    expected = MiniAxion(tied.config, tensors).forward(tied.ids[:4])[0]
    stored = MiniAxion(tied.config, tensors | {"output_head.weight": embedding.copy()}).forward(tied.ids[:4])[0]
    np.testing.assert_array_equal(stored, expected)
    with pytest.raises(ValueError, match="/weight_tying: expected False as the weights have it, got True"):
        MiniAxion(tied.config, tensors | {"output_head.weight": embedding + 1})
