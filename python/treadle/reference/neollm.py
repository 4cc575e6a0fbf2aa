"""NeoLLM, as docs/Families/neollm.md describes it."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .activation import activation
from .attention import attention
from .causal_conv import causal_conv
from .columns import concat_columns, slice_columns
from .embedding import embedding
from .family import Reference
from .fan import fan
from .gated_delta_rule import gated_delta_rule
from .glu import glu
from .gpas import gpas
from .l2_norm import l2_norm
from .layer_norm import layer_norm
from .linear import linear
from .log_decay import log_decay
from .neollm_config import EMBEDDING, FULL, HEAD, NeoLLMConfig
from .poly_norm import poly_norm
from .rms_norm import rms_norm
from .rope import rope, rope_turns
from .rounding import round_to

EPS = 1e-6
"""Of PolyNorm and of the length of queries and keys."""


@dataclass
class Memory:
    """What a sequence carries on, by layer and name; and the mask of its tokens."""

    mask: NDArray[np.bool_] = field(default_factory=lambda: np.ones(0, bool))
    rows: dict[str, NDArray] = field(default_factory=dict)

    def append(self, name: str, rows: NDArray, last: int | None = None) -> NDArray:
        """All rows of that name, the new ones last; only the `last` of them are kept."""
        if name in self.rows:
            rows = np.concatenate([self.rows[name], rows])
        self.rows[name] = rows if last is None else rows[max(0, len(rows) - last) :]
        return rows


class NeoLLM(Reference):
    """The family's forward pass."""

    Config = NeoLLMConfig
    config: NeoLLMConfig
    tied = {HEAD: EMBEDDING}
    recurrence = staticmethod(gated_delta_rule)

    def window(self, ids: NDArray[np.integer], mask: NDArray | None) -> NDArray:
        """Logits of one sequence.

        ids, mask (T) -> (T, vocab)
        """
        return self.rows(ids, mask, Memory())

    def rows(self, ids: NDArray[np.integer], mask: NDArray | None, memory: Memory) -> NDArray:
        """Logits of the tokens that follow those of `memory`, which takes them in.

        ids, mask (T) -> (T, vocab)
        """
        c, start = self.config, len(memory.mask)
        self._check_ids(ids, start, "max_position_embeddings")
        fresh = np.ones(len(ids), bool) if mask is None else np.asarray(mask) != 0
        memory.mask = np.concatenate([memory.mask, fresh])
        turns = rope_turns(np.arange(start, start + len(ids)), c.rotated, c.rope_theta)
        x = embedding(ids, self._weights[EMBEDDING], self.storage)
        for i, kind in enumerate(c.layer_types):
            name = f"model.layers.{i}"
            h = self._norm(f"{name}.input_layernorm", x) / x.dtype.type(math.sqrt(i + 1))
            y = self._full(name, h, turns, memory) if kind == FULL else self._delta(name, h, memory)
            x = gpas(x + y, self._alpha(name, "gpas_attn"))
            h = self._norm(f"{name}.post_attention_layernorm", x) / x.dtype.type(math.sqrt(i + 1))
            x = gpas(x + self._mlp(f"{name}.mlp", h), self._alpha(name, "gpas_mlp"))
        head = self._weights[EMBEDDING if c.tie_word_embeddings else HEAD]
        return linear(self._norm("model.norm", x), head, self.storage)

    #
    # Mixers
    #

    def _full(self, layer: str, h: NDArray, turns: NDArray[np.uint64], memory: Memory) -> NDArray:
        """h (T, hidden_size) -> (T, hidden_size)"""
        name = f"{layer}.self_attn"
        c, f = self.config, self._fan(name, h)

        def heads(y: NDArray) -> NDArray:
            return y.reshape(len(y), -1, c.head_dim)

        def turned(y: NDArray, norm: str) -> NDArray:
            y = heads(self._head_norm(f"{name}.{norm}", y))
            return np.concatenate([rope(y[..., : c.rotated], turns), y[..., c.rotated :]], axis=-1)

        q, gate = self._linear(f"{name}.q_proj", f), None
        if c.attn_output_gate:
            # Each head's queries, then its gates.
            gate = slice_columns(q, c.num_attention_heads, c.head_dim, c.head_dim)
            q = slice_columns(q, c.num_attention_heads, 0, c.head_dim)
        k = memory.append(f"{name}.k", round_to(self.storage, turned(self._linear(f"{name}.k_proj", f), "k_norm")))
        v = memory.append(f"{name}.v", round_to(self.storage, heads(self._linear(f"{name}.v_proj", f))))
        y = attention(turned(q, "q_norm"), k, v, len(k) - len(h), memory.mask, storage=self.storage).reshape(len(h), -1)
        return self._linear(f"{name}.o_proj", y if gate is None else glu(gate, y, "sigmoid"))

    def _delta(self, layer: str, h: NDArray, memory: Memory) -> NDArray:
        """h (T, hidden_size) -> (T, hidden_size)"""
        c, name = self.config, f"{layer}.linear_attn"
        groups, share = c.linear_num_key_heads, c.linear_num_value_heads // c.linear_num_key_heads
        f = self._fan(name, h) if c.linear_attn_fan else h
        mask = memory.mask[-len(h) :]

        qkvz, ba = self._linear(f"{name}.in_proj_qkvz", f), self._linear(f"{name}.in_proj_ba", f)
        keys, values = c.linear_key_head_dim, share * c.linear_value_head_dim
        q, k = slice_columns(qkvz, groups, 0, keys), slice_columns(qkvz, groups, keys, keys)
        v, z = (slice_columns(qkvz, groups, offset, values) for offset in (2 * keys, 2 * keys + values))
        b, a = slice_columns(ba, groups, 0, share), slice_columns(ba, groups, share, share)

        taps = c.linear_conv_kernel_dim
        channels = np.where(mask[:, None], concat_columns(q, k, v), 0)
        tail = memory.append(f"{name}.conv", channels, taps - 1)[: -len(h)]
        tail = np.concatenate([np.zeros((taps - 1 - len(tail), channels.shape[1]), h.dtype), tail])
        mixed = causal_conv(channels, self._weights[f"{name}.conv1d.weight"][:, 0], None, tail)
        q, k, v = np.split(mixed, [c.key_width, 2 * c.key_width], axis=-1)

        def heads(y: NDArray, width: int) -> NDArray:
            return y.reshape(len(y), -1, width)

        y, memory.rows[f"{name}.delta"] = self.recurrence(
            heads(l2_norm(q, EPS, groups, keys**-0.5), keys),
            heads(l2_norm(k, EPS, groups), keys),
            heads(v, c.linear_value_head_dim),
            activation("sigmoid", b),
            log_decay(a, self._weights[f"{name}.A_log"], self._weights[f"{name}.dt_bias"]),
            memory.rows.get(f"{name}.delta"),
            mask,
        )
        y = rms_norm(
            y.reshape(len(y), -1), self._weights[f"{name}.norm.weight"], c.rms_norm_eps, c.linear_num_value_heads
        )
        return self._linear(f"{name}.out_proj", glu(z, y))

    #
    # Parts
    #

    def _fan(self, name: str, h: NDArray) -> NDArray:
        """h (T, hidden_size) -> (T, fan_width)"""
        c, name = self.config, f"{name}.fan_layer.input_linear"
        bias = self._weights.get(f"{name}.bias")
        in_sum = c.fan_bias == "all"
        u = linear(h, self._weights[f"{name}.weight"], self.storage, bias if in_sum else None)
        return fan(u, c.periodic, None if in_sum else bias)

    def _mlp(self, name: str, h: NDArray) -> NDArray:
        """h (T, hidden_size) -> (T, hidden_size)"""
        weight, bias = self._weights[f"{name}.act_fn.weight"], self._weights[f"{name}.act_fn.bias"][0]
        gate = poly_norm(self._linear(f"{name}.gate_proj", h), weight, bias, EPS)
        return self._linear(f"{name}.down_proj", gate * self._linear(f"{name}.up_proj", h))

    def _norm(self, name: str, x: NDArray) -> NDArray:
        c, weight = self.config, self._weights[f"{name}.weight"]
        offset = float(c.norm_zero_centered)
        if c.norm_bias:
            return layer_norm(x, weight, self._weights[f"{name}.bias"], c.rms_norm_eps, 1, offset)
        return rms_norm(x, weight, c.rms_norm_eps, 1, offset)

    def _head_norm(self, name: str, x: NDArray) -> NDArray:
        c = self.config
        groups = x.shape[-1] // c.head_dim
        return rms_norm(x, self._weights[f"{name}.weight"], c.rms_norm_eps, groups, float(c.norm_zero_centered))

    def _linear(self, name: str, x: NDArray) -> NDArray:
        return linear(x, self._weights[f"{name}.weight"], self.storage)

    def _alpha(self, layer: str, name: str) -> NDArray:
        return self._weights[f"{layer}.{name if self.config.gpas_per_layer == 2 else 'gpas'}.alpha"][0]
