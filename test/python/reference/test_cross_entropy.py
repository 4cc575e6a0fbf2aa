import math

import numpy as np
import pytest
from treadle.reference import cross_entropy


def test_known_values() -> None:
    # p = (1/4, 3/4); the second row is ignored.
    logits = np.array([[0.0, math.log(3)], [7.0, -7.0]])
    targets = np.array([1, 0])
    assert cross_entropy(logits, targets, ignore_index=0) == pytest.approx(-math.log(3 / 4))
    smooth = 0.9 * -math.log(3 / 4) + 0.1 * -(math.log(1 / 4) + math.log(3 / 4)) / 2
    assert cross_entropy(logits, targets, 0, label_smoothing=0.1) == pytest.approx(smooth)


def test_nothing_to_count() -> None:
    assert math.isnan(cross_entropy(np.zeros((2, 3)), np.array([0, 0]), ignore_index=0))


def test_large_logits() -> None:
    assert cross_entropy(np.array([[1e4, 0.0]]), np.array([1]), ignore_index=-1) == pytest.approx(1e4)
