"""The dense decoder that Llama is and others build on, as docs/Families/llama.md describes it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .decoder_config import EMBEDDING, HEAD, DecoderConfig
from .embedding import embedding
from .family import Reference
from .glu import glu
from .linear import linear
from .rms_norm import rms_norm
from .rope import rope, rope_turns
from .rounding import round_to

KeysAndValues = tuple[NDArray, NDArray]
"""Rows of K, turned, and of V, as a cache stores them: (T, kv_heads, d) each."""


class Decoder(Reference):
    """Pieces of the forward pass."""

    Config = DecoderConfig
    tied = {HEAD: EMBEDDING}

    def _embed(self, ids: NDArray[np.integer]) -> NDArray:
        """ids (T) -> (T, hidden)"""
        return embedding(ids, self._weights[EMBEDDING], self.storage)

    def _turns(self, start: int, count: int) -> NDArray[np.uint64]:
        """(count, d / 2)"""
        c = self.config
        return rope_turns(np.arange(start, start + count), c.head_dim, c.rope_theta, c.scaling)

    def _layer(
        self, name: str, x: NDArray, turns: NDArray, attend: Callable[[NDArray, KeysAndValues], NDArray]
    ) -> NDArray:
        """One layer; `attend` supplies the keys and values before these rows, and others.

        x (T, hidden) -> (T, hidden)
        """
        y = self._norm(f"{name}.input_layernorm", x)
        q = rope(self._heads(f"{name}.self_attn.q_proj", y), turns)
        attended = attend(q, self._keys_and_values(name, y, turns))
        x = x + self._linear(f"{name}.self_attn.o_proj", attended.reshape(len(x), -1))

        y = self._norm(f"{name}.post_attention_layernorm", x)
        inner = glu(self._linear(f"{name}.mlp.gate_proj", y), self._linear(f"{name}.mlp.up_proj", y))
        return x + self._linear(f"{name}.mlp.down_proj", inner)

    def _keys_and_values(self, name: str, y: NDArray, turns: NDArray) -> KeysAndValues:
        """Of rows that the layer's first norm has been applied to."""
        k = rope(self._heads(f"{name}.self_attn.k_proj", y), turns)
        return round_to(self.storage, k), round_to(self.storage, self._heads(f"{name}.self_attn.v_proj", y))

    def _logits(self, x: NDArray) -> NDArray:
        """x (T, hidden) -> (T, vocab)"""
        head = self._weights[EMBEDDING if self.config.tie_word_embeddings else HEAD]
        return linear(self._norm("model.norm", x), head, self.storage)

    def _heads(self, name: str, y: NDArray) -> NDArray:
        return self._linear(name, y).reshape(len(y), -1, self.config.head_dim)

    def _norm(self, name: str, x: NDArray) -> NDArray:
        return rms_norm(x, self._weights[f"{name}.weight"], self.config.rms_norm_eps)

    def _linear(self, name: str, x: NDArray) -> NDArray:
        return linear(x, self._weights[f"{name}.weight"], self.storage, self._weights.get(f"{name}.bias"))
