"""Writes the bits of all logits of a library to standard output: whole and masked, with 1 loop and where there are 3."""

import sys

import numpy as np
import treadle

with treadle.load(sys.argv[1], threads=1) as model:
    random = np.random.default_rng(5)
    # One call of 128 rows, two of 3, one of 1; the first tokens have nothing to attend to.
    ids = random.integers(0, model.info["token_count"], 135)
    mask = (np.arange(len(ids)) >= 2) & (random.random(len(ids)) < 0.8)
    for loops in {1, min(3, model.info["max_loops"])}:
        for attended in (None, mask):
            logits = model.session(loops=loops, poison=True).forward(ids, attended, logits="all")
            sys.stdout.buffer.write(logits.tobytes())
