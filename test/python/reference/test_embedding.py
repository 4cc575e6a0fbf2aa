import numpy as np
from treadle.reference import embedding, round_bf16


def test_rows_as_they_are_stored() -> None:
    weight = np.random.default_rng(8).normal(size=(5, 4))
    ids = np.array([4, 0, 4])
    np.testing.assert_array_equal(embedding(ids, weight), [weight[4], weight[0], weight[4]])
    np.testing.assert_array_equal(embedding(ids, weight, "bf16"), round_bf16(weight)[ids])
