import numpy as np
from treadle.reference import linear, low_rank_linear, round_bf16

X = np.random.default_rng(4).normal(size=(3, 10))
DOWN = np.random.default_rng(5).normal(size=(5, 10))
UP = np.random.default_rng(6).normal(size=(7, 5))


def test_linear_sums_over_inputs() -> None:
    expected = [[sum(x * w for x, w in zip(row, out)) for out in DOWN] for row in X]
    np.testing.assert_allclose(linear(X, DOWN), expected)


def test_linear_rounds_both_operands_and_no_sum() -> None:
    np.testing.assert_array_equal(linear(X, DOWN, "bf16"), round_bf16(X) @ round_bf16(DOWN).T)


def test_low_rank_is_its_dense_product() -> None:
    np.testing.assert_allclose(low_rank_linear(X, DOWN, UP, scale=0.5), 0.5 * X @ (UP @ DOWN).T)


def test_low_rank_rounds_the_latent_before_the_scale() -> None:
    latent = round_bf16(round_bf16(X) @ round_bf16(DOWN).T)
    expected = 0.3 * (latent @ round_bf16(UP).T)
    np.testing.assert_array_equal(low_rank_linear(X, DOWN, UP, 0.3, "bf16"), expected)
