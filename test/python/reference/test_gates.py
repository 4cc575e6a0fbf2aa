import math

import numpy as np
from treadle.reference import gate_blend, glu, gpas, log_decay


def test_glu_gates_with_silu() -> None:
    gate, up = np.array([-2.0, 0.0, 1.0]), np.array([3.0, 5.0, -1.0])
    expected = [-2 / (1 + math.exp(2)) * 3, 0, -1 / (1 + math.exp(-1))]
    np.testing.assert_allclose(glu(gate, up), expected, rtol=1e-15)


def test_glu_of_large_gates() -> None:
    gate = np.array([-1e4, 1e4], np.float32)
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(glu(gate, np.ones(2, np.float32)), [0, 1e4])


def test_blend_of_the_initial_gate() -> None:
    x, x0 = np.array([1.0, 2.0]), np.array([0.0, -1.0])
    g = 0.6224593312018546  # sigmoid(0.5)
    np.testing.assert_allclose(gate_blend(x, x0, np.array(0.5)), [g, 2 * g - (1 - g)], rtol=1e-15)


def test_gpas_shrinks_by_silu() -> None:
    x = np.array([1.0, -2.0])
    np.testing.assert_array_equal(gpas(x, np.array(0.0)), x)
    np.testing.assert_allclose(gpas(x, np.array(0.5)), x * (1 - 0.5 * 0.6224593312018546), rtol=1e-15)


def test_log_decay_of_both_tails() -> None:
    x, a_log, dt_bias = np.array([[-800.0, 0.5, 800.0]]), np.array([0.0, 1.0, -1.0]), np.array([0.0, -0.5, 1.0])
    with np.errstate(all="raise", under="ignore"):
        found = log_decay(x, a_log, dt_bias)
    np.testing.assert_allclose(found, [[0, -math.e * math.log(2), -801 / math.e]], rtol=1e-15)
