"""NanoHammer, as docs/Families/nanohammer.md describes it: the cached form, with all that a sequence keeps."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .activation import activation
from .add_scaled import add_scaled
from .attention import attention
from .decoder import Decoder, KeysAndValues
from .layer_norm import layer_norm
from .linear import linear
from .nanohammer_config import TOKEN_TO_STATE, NanoHammerConfig
from .rope import rope, rope_turns
from .running_sum import running_sum


@dataclass
class Memory:
    """What a sequence keeps from token to token."""

    mask: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    integral: NDArray | None = None
    """The running integral: (state)."""
    outputs: dict[int, NDArray] = field(default_factory=dict)
    """Of each layer, the state that it made of the last token: (state)."""
    tokens: dict[int, KeysAndValues] = field(default_factory=dict)
    """Of each layer, K and V of the tokens' hidden rows."""
    states: dict[int, KeysAndValues] = field(default_factory=dict)
    """Of each layer, K and V of the tokens' state rows."""


def _appended(kept: dict[int, KeysAndValues], layer: int, rows: KeysAndValues) -> KeysAndValues:
    """All rows of a layer, the new ones behind those that are kept."""
    if layer in kept:
        k, v = (np.concatenate(pair) for pair in zip(kept[layer], rows))
        rows = k, v
    kept[layer] = rows
    return rows


class NanoHammer(Decoder):
    """The family's forward pass."""

    Config = NanoHammerConfig

    def window(self, ids: NDArray[np.integer], mask: NDArray | None) -> NDArray:
        """ids, mask (T) -> (T, vocab)"""
        return self.rows(ids, mask, Memory())

    def rows(self, ids: NDArray[np.integer], mask: NDArray | None, memory: Memory) -> NDArray:
        """Logits of the tokens that follow those in `memory`, which then holds these too.

        ids, mask (T) -> (T, vocab)
        """
        start, count = len(memory.mask), len(ids)
        self._check_ids(ids, start, "max_position_embeddings")
        c = self.config
        present = np.ones(count, bool) if mask is None else np.asarray(mask) != 0
        memory.mask = np.concatenate([memory.mask, present])
        turns = self._turns(start, count)
        state_turns = rope_turns(np.arange(start, start + count), c.state_hidden_size, c.state_rope_theta)

        x = self._embed(ids)
        s = self._integral(x, present, start, state_turns, memory)
        for number, layer in enumerate(c.layers()):
            s = self._cell(f"{layer}.state_cell", s)
            rows = self._state_rows(layer, self._late(number, s, memory), state_turns)

            def attend(q: NDArray, tokens: KeysAndValues, layer: str = layer, number: int = number) -> NDArray:
                y = self._norm(f"{layer}.input_layernorm", rows)
                k, v = _appended(memory.tokens, number, tokens)
                lane = _appended(memory.states, number, self._keys_and_values(layer, y, turns))
                return attention(q, k, v, start, memory.mask, lane, own=c.state_visibility == "own", storage=self.storage)

            x = self._layer(layer, x, turns, attend)
        return self._logits(x)

    def _integral(
        self, x: NDArray, present: NDArray[np.bool_], start: int, turns: NDArray[np.uint64], memory: Memory
    ) -> NDArray:
        """The state that enters the first layer.

        x (T, hidden) -> (T, state)
        """
        c = self.config
        z = self._turn(self._linear(TOKEN_TO_STATE, x), turns)
        sums = running_sum(z, present, memory.integral)
        memory.integral = sums[-1]
        if c.state_accumulate == "none":
            return np.where(present[:, None], z, 0)
        if c.state_accumulate == "mean":
            return sums / np.arange(start + 1, start + len(x) + 1)[:, None].astype(x.dtype)
        return sums

    def _cell(self, name: str, s: NDArray) -> NDArray:
        """StateUpdateCell: each head of each token on its own. Its matrices are never rounded.

        s (T, state) -> (T, state)
        """
        c, heads = self.config, self.config.num_state_heads

        def norm(part: str, y: NDArray) -> NDArray:
            weight, bias = self._weights[f"{name}.{part}.weight"], self._weights.get(f"{name}.{part}.bias")
            return layer_norm(y, weight, bias, c.state_norm_eps, heads)

        def project(part: str, y: NDArray) -> NDArray:
            weight, bias = self._weights[f"{name}.{part}.weight"], self._weights.get(f"{name}.{part}.bias")
            return linear(y, weight, bias=bias, groups=heads)

        u = project("mlp.2", activation(c.state_act, project("mlp.0", norm("pre_norm", s))))
        step = self._weights[f"{name}.step_size"]
        if c.state_post_norm == "state":
            return norm("post_norm", add_scaled(s, u, step))
        return add_scaled(s, norm("post_norm", u), step)

    def _late(self, layer: int, s: NDArray, memory: Memory) -> NDArray:
        """The states `state_lag` tokens before; zeros before the first.

        s (T, state) -> (T, state)
        """
        if self.config.state_lag == 0:
            return s
        before = memory.outputs.get(layer, np.zeros_like(s[0]))
        memory.outputs[layer] = s[-1]
        return np.concatenate([before[None], s[:-1]])

    def _state_rows(self, layer: str, s: NDArray, turns: NDArray[np.uint64]) -> NDArray:
        """s (T, state) -> (T, hidden)"""
        return self._linear(f"{layer}.state_projection", self._turn(s, turns, inverse=True))

    def _turn(self, s: NDArray, turns: NDArray[np.uint64], inverse: bool = False) -> NDArray:
        """The holographic rotation, of the whole state as one vector.

        s (T, state), turns (T, state / 2) -> (T, state)
        """
        return rope(s[:, None], turns, self.config.state_pairing, inverse)[:, 0]
