import numpy as np
from treadle.reference import round_bf16, round_to
from treadle.reference.rounding import bf16_bits, bf16_values


def test_every_bfloat16_stands() -> None:
    bits = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    values = bf16_values(bits)
    finite = ~np.isnan(values)
    np.testing.assert_array_equal(bf16_bits(values)[finite], bits[finite])
    assert np.isnan(bf16_values(bf16_bits(values[~finite]))).all()


def test_ties_go_to_even() -> None:
    ulp = 2.0**-7
    x = np.array([1 + ulp / 2, 1 + 3 * ulp / 2, 1 + 0.501 * ulp, -1 - ulp / 2])
    np.testing.assert_array_equal(round_bf16(x), [1, 1 + 2 * ulp, 1 + ulp, -1])


def test_overflow_and_zero() -> None:
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(round_bf16(np.array([largest, -largest, -0.0])), [np.inf, -np.inf, 0])
    assert np.signbit(round_bf16(np.array(-0.0)))


def test_type_and_shape_stay() -> None:
    for dtype in (np.float32, np.float64):
        for shape in ((), (0,), (2, 3)):
            rounded = round_to("bf16", np.ones(shape, dtype))
            assert rounded.dtype == dtype and rounded.shape == shape
    x = np.array([1 + 1e-9])
    assert round_to("f32", x) is x
