"""same_bits.py A.so B.so: whether two libraries give the same logits, to the bit, for tokens all at once and one by one."""

import sys

import numpy as np
import treadle

ids = [(7 * i + 3) % 90 for i in range(40)]


def logits(library: str) -> np.ndarray:
    with treadle.load(library) as model, model.session() as session:
        whole = session.forward(ids, logits="all")
        session.reset()
        return np.concatenate([whole, *(session.forward([token], logits="all") for token in ids)])


first, second = map(logits, sys.argv[1:])
assert np.isfinite(first).all() and np.ptp(first) > 0
print("the same bits" if first.tobytes() == second.tobytes() else "other bits")
