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


def test_groups_share_a_matrix_or_have_one_each() -> None:
    stack = np.random.default_rng(7).normal(size=(2, 7, 5))
    each, shared = np.random.default_rng(8).normal(size=(2, 7)), UP
    left, right = linear(X[:, :5], stack[0], bias=each[0]), linear(X[:, 5:], stack[1], bias=each[1])
    np.testing.assert_allclose(linear(X, stack, bias=each, groups=2), np.concatenate([left, right], axis=1))
    halves = [linear(X[:, :5], shared, bias=each[0]), linear(X[:, 5:], shared, bias=each[0])]
    np.testing.assert_allclose(linear(X, shared, bias=each[0], groups=2), np.concatenate(halves, axis=1))


def test_the_bias_is_not_rounded() -> None:
    bias = np.full(5, 1 / 3)
    np.testing.assert_array_equal(linear(X, DOWN, "bf16", bias), linear(X, DOWN, "bf16") + bias)
