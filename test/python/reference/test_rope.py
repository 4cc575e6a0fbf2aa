import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from treadle.reference import rope, rope_turns
from treadle.reference.rope import PAIRINGS, Pairing
from treadle.reference.config_fields import ConfigFields
from treadle.reference.rope_scaling import Llama3Scaling, rope_scaling

# 2π to 60 digits.
TAU = Fraction("6.28318530717958647692528676655900576839433879875021164194989")


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_pairs_rotate_as_complex_numbers(pairing: Pairing) -> None:
    head_dim, theta = 10, 500.0
    x = np.random.default_rng(1).normal(size=(7, 3, head_dim))
    turned = rope(x, rope_turns(np.arange(7), head_dim, theta), pairing)
    for pair in range(head_dim // 2):
        i, j = (pair, pair + head_dim // 2) if pairing == "half" else (2 * pair, 2 * pair + 1)
        for position in range(7):
            rotor = np.exp(1j * position * theta ** (-2 * pair / head_dim))
            z = (x[position, :, i] + 1j * x[position, :, j]) * rotor
            np.testing.assert_allclose(turned[position, :, i] + 1j * turned[position, :, j], z, rtol=1e-13)


@pytest.mark.parametrize("position", [1, 131_071, 2**40 + 1])
def test_turns_stay_exact_far_out(position: int) -> None:
    found = int(rope_turns(np.array([position]), 2, 10000.0)[0, 0])
    exact = Fraction(position) / TAU % 1
    error = abs(Fraction(found, 2**64) - exact)
    assert min(error, 1 - error) <= position * Fraction(1, 2**55)


def test_float32_is_as_good_far_out() -> None:
    x = np.random.default_rng(2).normal(size=(1, 1, 8))
    turns = rope_turns(np.array([131_071]), 8, 10000.0)
    single = rope(x.astype(np.float32), turns)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, rope(x, turns), atol=1e-6)


def test_products_depend_on_distance_alone() -> None:
    q, k = np.random.default_rng(3).normal(size=(2, 1, 1, 12))

    def product(i: int, j: int) -> float:
        return float((rope(q, rope_turns(np.array([i]), 12, 1e4)) * rope(k, rope_turns(np.array([j]), 12, 1e4))).sum())

    assert product(9, 4) == pytest.approx(product(105, 100), abs=1e-12)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_the_inverse_turns_back(pairing: Pairing) -> None:
    x = np.random.default_rng(4).normal(size=(5, 2, 8))
    turns = rope_turns(np.arange(100, 105), 8, 1e4)
    np.testing.assert_allclose(rope(rope(x, turns, pairing), turns, pairing, inverse=True), x, rtol=1e-12)


def test_llama3_scaling() -> None:
    """By wavelength against the first context, 64 / 4 and 64 / 1: unchanged, blended, slower."""
    scaling = Llama3Scaling(8.0, 1.0, 4.0, 64)
    for wavelength, factor in ((15.9, 1.0), (64.1, 1 / 8), (32.0, 2 / 3 / 8 + 1 / 3)):
        frequency = math.tau / wavelength
        assert scaling.scale(frequency) == pytest.approx(factor * frequency, rel=1e-12)
    plain, scaled = (rope_turns(np.array([1]), 6, 500.0, s)[0].astype(float) for s in (None, scaling))
    assert scaled[0] == plain[0] and scaled[2] == pytest.approx(plain[2] / 8)


LLAMA3: dict[str, Any] = {
    "rope_type": "llama3",
    "factor": 8,
    "low_freq_factor": 1,
    "high_freq_factor": 4,
    "original_max_position_embeddings": 64,
}


def read_scaling(value: Any) -> Llama3Scaling | None:
    return rope_scaling(ConfigFields({"rope_scaling": value}, {}), "llama3", "default")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("llama3", "/rope_scaling: expected an object or null, got 'llama3'"),
        ({"rope_type": "yarn"}, "/rope_scaling/rope_type: expected llama3 or default, got 'yarn'"),
        (LLAMA3 | {"factor": "8"}, "/rope_scaling/factor: expected a number in 1 ... 1000000, got '8'"),
        (LLAMA3 | {"factor": 0.5}, "/rope_scaling/factor: expected a number in 1 ... 1000000, got 0.5"),
        ({"rope_type": "llama3"}, "/rope_scaling/low_freq_factor: expected a value, got none"),
        (LLAMA3 | {"low_freq_factor": 4}, "/rope_scaling/high_freq_factor: expected more than low_freq_factor 4, got 4"),
    ],
)
def test_bad_scalings(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_scaling(value)


def test_scalings() -> None:
    assert read_scaling(None) is None and read_scaling({"rope_type": "default"}) is None
    assert read_scaling(LLAMA3) == Llama3Scaling(8, 1, 4, 64)
