"""Llama, as docs/Families/llama.md describes it."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .attention import attention
from .decoder import Decoder, KeysAndValues

Attend = Callable[[int, NDArray, KeysAndValues], NDArray]
"""attend(layer, q, (k, v)): attention of a layer, given the q, k and v of the rows at hand."""


class Llama(Decoder):
    """The family's forward pass."""

    def window(self, ids: NDArray[np.integer], mask: NDArray | None) -> NDArray:
        """ids, mask (T) -> (T, vocab)"""
        return self.rows(ids, 0, lambda layer, q, rows: attention(q, *rows, mask=mask, storage=self.storage))

    def rows(self, ids: NDArray[np.integer], start: int, attend: Attend) -> NDArray:
        """Logits of some rows of a window, the first at position `start`; `attend` supplies the keys before them.

        ids (T) -> (T, vocab)
        """
        self._check_ids(ids, start, "max_position_embeddings")
        x, turns = self._embed(ids), self._turns(start, len(ids))
        for number, layer in enumerate(self.config.layers()):
            x = self._layer(layer, x, turns, partial(attend, number))
        return self._logits(x)
