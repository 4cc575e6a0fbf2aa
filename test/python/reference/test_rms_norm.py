import numpy as np
from treadle.reference import rms_norm


def test_known_values() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    root = np.sqrt(12.5 + 0.5)
    np.testing.assert_allclose(rms_norm(x, np.array([2.0, -1.0]), eps=0.5), [[6 / root, -4 / root], [0, 0]])


def test_scale_falls_out() -> None:
    x = np.random.default_rng(0).normal(size=(3, 40))
    np.testing.assert_allclose(rms_norm(1000 * x, np.ones(40), 0.0), rms_norm(x, np.ones(40), 0.0))
