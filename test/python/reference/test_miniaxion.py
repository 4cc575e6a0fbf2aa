"""The MiniAxion reference as a whole."""

import math
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, Case
from judge import BF16_TOLERANCE, bf16_tolerance, relative_error, typical_error
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


@each_case
def test_rounding_to_bf16_can_be_judged(case: Case, weights: Path) -> None:
    """Evaluated in float32, the reference meets the bars that bf16 libraries are held to; without rounding it fails
    the tight one, so that one would notice a library that rounds otherwise."""
    rounded = case.reference(weights, storage="bf16")
    single = case.reference(weights, np.float32, "bf16")
    unrounded = case.reference(weights)

    short, loops = case.short_windows[:8], case.loops
    expected = rounded.forward(short, n_think_loops=loops)[0]
    assert typical_error(single.forward(short, n_think_loops=loops)[0], expected) < BF16_TOLERANCE / 10
    assert typical_error(unrounded.forward(short, n_think_loops=loops)[0], expected) > BF16_TOLERANCE

    ids = case.ids[:64]
    expected = rounded.forward(ids, n_think_loops=loops)[0]
    cost = relative_error(expected, unrounded.forward(ids, n_think_loops=loops)[0])
    error = relative_error(single.forward(ids, n_think_loops=loops)[0], expected)
    assert error < bf16_tolerance(cost)


@pytest.fixture
def case() -> Case:
    return next(case for case in CASES if case.loops > 1 and case.config["use_thinking_tokens"])


def test_float32_stays_float32(case: Case, weights: Path) -> None:
    for storage in ("f32", "bf16"):
        logits, _ = case.reference(weights, np.float32, storage).forward(case.ids[:5], n_think_loops=2)
        assert logits.dtype == np.float32


def test_what_bf16_rounds(case: Case, weights: Path) -> None:
    """Rows of K and V, not q; and the matrices, so that rounding these beforehand changes nothing."""
    model = case.reference(weights, storage="bf16")
    seen = []

    def attend(slot: int, q: NDArray, k: NDArray, v: NDArray) -> NDArray:
        seen.append(slot)
        assert (round_bf16(k) == k).all() and (round_bf16(v) == v).all() and (round_bf16(q) != q).any()
        return attention(q, k, v)

    ids = case.ids[:8]
    logits = model.rows(ids, 0, attend, n_think_loops=2)
    assert seen == list(range(model.config.n_layers + model.config.n_shared_layers))

    rounded = {name: round_bf16(array) if array.ndim == 2 else array for name, array in model._weights.items()}
    again, _ = MiniAxion(case.config, rounded, storage="bf16").forward(ids, n_think_loops=2)
    np.testing.assert_array_equal(again, logits)
    matrices_alone, _ = MiniAxion(case.config, rounded).forward(ids, n_think_loops=2)
    assert relative_error(matrices_alone, logits) > BF16_TOLERANCE


def test_batches_and_masks(case: Case, weights: Path) -> None:
    model = case.reference(weights)
    ids = case.ids[:24].reshape(3, 8)
    mask = np.ones_like(ids)
    mask[1, :3] = 0
    together, loss = model.forward(ids, attention_mask=mask)
    assert together.shape == (3, 8, model.config.vocab_size) and loss is None
    for row, row_mask, logits in zip(ids, mask, together):
        np.testing.assert_array_equal(model.forward(row, attention_mask=row_mask)[0], logits)

    # A masked token is never attended: what it is does not show in later rows.
    other = ids.copy()
    other[1, :3] = (other[1, :3] + 1) % model.config.vocab_size
    changed, _ = model.forward(other, attention_mask=mask)
    np.testing.assert_array_equal(changed[1, 3:], together[1, 3:])
    assert relative_error(changed[1, :3], together[1, :3]) > 0.01
    assert relative_error(model.forward(ids)[0][1], together[1]) > 0.01


def test_loss_by_hand(case: Case, weights: Path) -> None:
    """Cross-entropy of each row against the next label, 0 left out, smoothed by 0.05."""
    model = case.reference(weights)
    ids, labels = case.ids[:6], np.array([3, 5, 0, 2, 0, 7])
    logits, loss = model.forward(ids, labels=labels)
    terms = []
    for row, label in zip(logits[:-1], labels[1:]):
        log_p = row - math.log(sum(math.exp(x) for x in row))
        if label != 0:
            terms.append(-0.95 * log_p[label] - 0.05 * sum(log_p) / len(log_p))
    assert len(terms) == 3 and loss == pytest.approx(sum(terms) / 3, rel=1e-12)


@pytest.mark.parametrize("loops", [-1, 0, 1])
def test_at_least_one_pass(case: Case, weights: Path, loops: int) -> None:
    model = case.reference(weights)
    expected, _ = model.forward(case.ids[:4], n_think_loops=1)
    np.testing.assert_array_equal(model.forward(case.ids[:4], n_think_loops=loops)[0], expected)


def test_bad_windows(case: Case, weights: Path) -> None:
    model = case.reference(weights)
    with pytest.raises(ValueError, match="expected token ids in 0 ... "):
        model.forward(np.array([0, model.config.vocab_size]))
    with pytest.raises(ValueError, match="expected token ids in 0 ... "):
        model.forward(np.array([-1]))
    with pytest.raises(ValueError, match="expected at most max_seq_len"):
        model.forward(np.zeros(model.config.max_seq_len + 1, int))


def test_bad_tensors(case: Case, weights: Path) -> None:
    tensors = case.reference(weights)._weights
    name = "shared_layers.0.attn.q_proj.up.weight"
    with pytest.raises(ValueError, match=f"{name}: expected a tensor of shape .* got none"):
        MiniAxion(case.config, {n: t for n, t in tensors.items() if n != name})
    with pytest.raises(ValueError, match=f"{name}: expected a tensor of shape .* got shape"):
        MiniAxion(case.config, tensors | {name: tensors[name].T})


def test_a_tied_head_may_be_stored(case: Case, weights: Path) -> None:
    tied = next(c for c in CASES if c.config["weight_tying"])
    tensors = tied.reference(tied.write(weights.parent)[1])._weights
    embedding = tensors["token_embedding.weight"]
    expected = MiniAxion(tied.config, tensors).forward(tied.ids[:4])[0]
    stored = MiniAxion(tied.config, tensors | {"output_head.weight": embedding.copy()}).forward(tied.ids[:4])[0]
    np.testing.assert_array_equal(stored, expected)
    with pytest.raises(ValueError, match="/weight_tying: expected False as the weights have it, got True"):
        MiniAxion(tied.config, tensors | {"output_head.weight": embedding + 1})
