import math

import numpy as np
import pytest
from numpy.typing import NDArray
from treadle.reference import attention, round_bf16


def plain_attention(q: NDArray, k: NDArray, v: NDArray, start: int, mask: NDArray) -> NDArray:
    """One query head and one key at a time."""
    out = np.zeros_like(q)
    for i, h in np.ndindex(q.shape[:2]):
        kv_head = h // (q.shape[1] // k.shape[1])
        keys = [j for j in range(start + i + 1) if mask[j]]
        weights = [math.exp(q[i, h] @ k[j, kv_head] / math.sqrt(q.shape[2])) for j in keys]
        for j, weight in zip(keys, weights):
            out[i, h] += weight / sum(weights) * v[j, kv_head]
    return out


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("start", [0, 3])
def test_against_plain_loops(kv_heads: int, start: int) -> None:
    generator = np.random.default_rng(7)
    q = generator.normal(size=(5, 6, 4))
    k, v = generator.normal(size=(2, start + 5, kv_heads, 4))
    mask = np.arange(start + 5) % 4 != 1
    np.testing.assert_allclose(attention(q, k, v, start, mask), plain_attention(q, k, v, start, mask), rtol=1e-12)
    everything = np.ones(start + 5)
    np.testing.assert_allclose(attention(q, k, v, start), plain_attention(q, k, v, start, everything), rtol=1e-12)


def test_what_meets_bf16_is_rounded() -> None:
    """Exponentials below the maximum of their span: at 600 keys two spans."""
    generator = np.random.default_rng(5)
    q = generator.normal(size=(1, 1, 6)) * 3
    k, v = (round_bf16(generator.normal(size=(600, 1, 6))) for _ in "kv")
    scores = k[:, 0] @ round_bf16(q)[0, 0] / math.sqrt(6)
    exponentials, scales = [], []
    for span in (scores[:512], scores[512:]):
        exponentials.append(round_bf16(np.exp(span - span.max())))
        scales.append(math.exp(span.max() - scores.max()))
    weights = np.concatenate([e * scale for e, scale in zip(exponentials, scales)])
    expected = weights @ v[:, 0] / weights.sum()
    np.testing.assert_allclose(attention(q, k, v, 599, storage="bf16")[0, 0], expected, rtol=1e-12)
    assert abs(attention(q, k, v, 599)[0, 0] - expected).max() > 1e-4


def test_a_row_without_keys_gives_zeros() -> None:
    q = k = v = np.ones((3, 2, 4))
    out = attention(q, k, v, mask=np.array([0, 0, 1]))
    np.testing.assert_array_equal(out[:2], 0)
    np.testing.assert_array_equal(out[2], 1)


def test_masked_values_are_never_read() -> None:
    q = k = np.ones((2, 1, 4))
    v = np.array([np.full((1, 4), 1e300), np.ones((1, 4))])
    np.testing.assert_array_equal(attention(q, k, v, mask=np.array([False, True]))[1], np.ones((1, 4)))


def test_large_scores_do_not_overflow() -> None:
    q = k = np.full((2, 1, 4), 1e3, np.float32)
    v = np.arange(8, dtype=np.float32).reshape(2, 1, 4)
    np.testing.assert_allclose(attention(q, k, v)[1], v.mean(axis=0))


@pytest.mark.parametrize("own", [False, True])
def test_a_second_lane(own: bool) -> None:
    """One query head and one key at a time; a row without keys in either lane gives zeros."""
    generator = np.random.default_rng(9)
    q = generator.normal(size=(5, 6, 4))
    k, v, k2, v2 = generator.normal(size=(4, 8, 3, 4))
    mask = np.array([0, 0, 0, 0, 1, 1, 0, 1])
    found = attention(q, k, v, 3, mask, (k2, v2), own)
    expected = np.zeros_like(q)
    for i, h in np.ndindex(5, 6):
        seen = [(k[j], v[j]) for j in range(3 + i + 1) if mask[j]]
        seen += [(k2[j], v2[j]) for j in range(3 + i if own else 0, 3 + i + 1) if mask[j]]
        weights = [math.exp(q[i, h] @ key[h // 2] / 2) for key, _ in seen]
        for weight, (_, value) in zip(weights, seen):
            expected[i, h] += weight / sum(weights) * value[h // 2]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
