"""Om, as docs/Families/om.md describes it."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .activation import activation, swish
from .attention import attention
from .cope_bias import cope_bias
from .differential import differential
from .embedding import embedding
from .family import Reference
from .glu import glu
from .layer_norm import layer_norm
from .linear import linear
from .ngram_embedding import ngram_embedding
from .om_config import EMBEDDING, HEAD, READ, TOKEN, WRITE, Kind, OmConfig
from .rope import angle_turns, rope
from .rounding import round_to

EPS = 1e-5

Remember = Callable[[str, NDArray], NDArray]
"""remember(name, rows): the rows of that name so far, the new ones last."""


class Rows(NamedTuple):
    """Neighbouring rows of a segment, the same in every layer."""

    kinds: Sequence[tuple[Kind, slice]]
    positions: NDArray[np.integer]
    mask: NDArray[np.bool_]
    """Of all rows of the segment up to these."""


class Om(Reference):
    """The family's forward pass, segment by segment. A segment's rows are state_len read rows, its tokens and state_len
    write rows; a row attends to those before it."""

    Config = OmConfig
    config: OmConfig

    def window(self, ids: NDArray[np.integer], mask: NDArray | None) -> NDArray:
        """Logits of one sequence, after a context of padding and from the learned states.

        ids, mask (T) -> (T, vocab_adj)
        """
        c = self.config
        context = np.full(c.context_len, c.pad_token_id)
        return self._segments(np.concatenate([context, ids]), self.initial_states(), mask, next_token=False)[0]

    def call(
        self, ids: NDArray[np.integer], states: Sequence[NDArray] = (), next_token: bool = False
    ) -> tuple[NDArray, list[NDArray]]:
        """The published forward: `ids` begin with context_len ids that only the n-grams see.

        Without states the learned ones hold. Every call starts a segment; a short last one is written into the states
        unless `next_token`, which also returns the last row of logits alone.

        ids (context_len + T), states (num_layers) of (state_len, dim_input) -> logits (T, vocab_adj) or (vocab_adj),
        states
        """
        old = [np.asarray(state, self._weights[EMBEDDING].dtype) for state in states] or self.initial_states()
        logits, new = self._segments(np.asarray(ids), old, None, next_token)
        return (logits[-1] if next_token else logits), new

    def initial_states(self) -> list[NDArray]:
        return [self._weights[f"layers.{layer}.attn.init_state"][0] for layer in range(self.config.num_layers)]

    def _segments(
        self, ids: NDArray[np.integer], states: list[NDArray], mask: NDArray | None, next_token: bool
    ) -> tuple[NDArray, list[NDArray]]:
        """ids (context_len + T), mask (T) -> (T, vocab_adj), states"""
        c = self.config
        count = len(ids) - c.context_len
        if count < 1:
            raise ValueError(f"expected at least {c.context_len + 1} ids, got {len(ids)}")
        if not (0 <= ids.min() and ids.max() < c.vocab_size):
            raise ValueError(f"expected token ids in 0 ... {c.vocab_size - 1}, got {ids.min()} ... {ids.max()}")
        mask = np.ones(count, bool) if mask is None else np.asarray(mask) != 0
        x = self.embed(ids, mask)
        logits = []
        for start in range(0, count, c.segment_len):
            piece = slice(start, min(start + c.segment_len, count))
            y, new = self._segment(x[piece], states, mask[piece])
            logits.append(self.head(y))
            if not next_token or len(y) == c.segment_len:
                states = new
        return np.concatenate(logits), states

    def _segment(self, x: NDArray, states: list[NDArray], mask: NDArray) -> tuple[NDArray, list[NDArray]]:
        """x (n, dim_input), states as they were before the segment -> (n, hidden), states after it"""
        n, s = len(x), self.config.state_len
        rows = self.rows_of(((READ, slice(0, s)), (TOKEN, slice(s, s + n)), (WRITE, slice(s + n, None))), n, mask)
        new = []
        for layer, state in enumerate(states):
            heads = self.passes(layer, np.concatenate([state, x, state]), rows, lambda _, rows: rows)
            new.append(self.written(layer, heads[s + n :]))
            x = self.layer(layer, x, heads[s : s + n])
        return x, new

    def rows_of(
        self, kinds: Sequence[tuple[Kind, slice]], tokens: int, mask: NDArray, first: int = 0, count: int | None = None
    ) -> Rows:
        """Rows [first, first + count) of a segment of `tokens` tokens, all by default; mask (tokens)."""
        s = self.config.state_len
        positions = np.arange(tokens + 2 * s)
        if self.config.write_pos == "reversed":
            positions[s + tokens :] = positions[s + tokens :][::-1].copy()
        always = np.ones(s, bool)
        end = len(positions) if count is None else first + count
        return Rows(kinds, positions[first:end], np.concatenate([always, mask, always])[:end])

    #
    # Tokens in, logits out
    #

    def embed(self, ids: NDArray[np.integer], mask: NDArray) -> NDArray:
        """A masked token has no place in any n-gram.

        ids (context_len + T), mask (T) -> (T, dim_input)
        """
        c = self.config
        x = embedding(ids[c.context_len :], self._weights[EMBEDDING], self.storage)
        seen = np.concatenate([ids[: c.context_len], np.where(mask, ids[c.context_len :], -1)])
        total = x
        for i, k in enumerate(c.init_convs):
            grams = ngram_embedding(seen[c.context_len - k + 1 :], self._weights[EMBEDDING], k, self.storage)
            if c.init_conv_mode == "lowrank":
                down = linear(grams, self._weights[f"ngram_embs.{i}.ngram_down_proj.weight"], self.storage)
                y = linear(down, self._weights[f"ngram_embs.{i}.ngram_up_proj.weight"], self.storage)
            else:
                taps = self._weights[f"convs.{i}.weight"].transpose(0, 2, 1).reshape(c.dim_input, -1)
                y = linear(grams, taps, self.storage, self._weights[f"convs.{i}.bias"])
            total = total + y
        return total

    def head(self, x: NDArray) -> NDArray:
        """(n, hidden) -> (n, vocab_adj), -inf from vocab_size on"""
        bias = self._weights["proj_out.bias"] if self.config.proj_out_bias else None
        logits = linear(x, self._weights[HEAD], self.storage, bias)
        logits[:, self.config.vocab_size :] = -np.inf
        return logits

    #
    # Attention
    #

    def passes(self, layer: int, x: NDArray, rows: Rows, remember: Remember) -> NDArray:
        """All passes of a layer, heads side by side.

        x (n, dim_input) -> (n, heads * attn_proj_rank)
        """
        c, name = self.config, f"layers.{layer}.attn.attn"
        y = x
        for p in range(c.passes):
            y = self._pass(layer, p, y, rows, lambda what, new, p=p: remember(f"{layer}.{p}.{what}", new))
            if c.diff_attn and p < c.passes - 1:
                y = self._by_kind(lambda kind, rows, p=p: self._map(f"{name}.proj_modules{kind}.{p}", rows), y, rows)
        if c.has_out_projection:
            y = self._by_kind(lambda kind, rows: self._map(f"{name}.proj_out{kind}", rows), y, rows)
        return y

    def _pass(self, layer: int, p: int, y: NDArray, rows: Rows, remember: Remember) -> NDArray:
        """(n, dim_input) or (n, heads * width) -> (n, heads * dims_value[p])"""
        c, name = self.config, f"layers.{layer}.attn.attn.attn_modules.{p}"

        def project(what: str, y: NDArray) -> NDArray:
            def of_kind(kind: str, y: NDArray) -> NDArray:
                z = self._map(f"{name}.proj_{what}{kind}", y)
                return self._norm(f"{name}.norm_{what}{kind}", z, c.num_heads) if c.attn_normalize else z

            return self._by_kind(of_kind, y, rows)

        if c.is_hopfield(p):
            y = self._by_kind(lambda kind, y: self._map(f"{name}.proj_hidden{kind}", y), y, rows)
        k, v = (self._heads(project(what, y)) for what in "kv")
        values = remember("v", round_to(self.storage, v))
        suffixes = ("_1", "_2") if c.diff_attn else ("",)
        keys = [
            self._keys(p, branch, rows, lambda what, new, suffix=suffix: remember(what + suffix, new))
            for suffix, branch in zip(suffixes, np.split(k, c.branches, axis=-1))
        ]
        for _ in range(c.num_iters[p]):
            queries = np.split(self._heads(project("q", y)), c.branches, axis=-1)
            branches = [
                self._attend(p, q, *pair, values, rows, f"{name}.cope_emb{suffix}")
                for suffix, q, pair in zip(suffixes, queries, keys)
            ]
            y = self._difference(layer, name, *branches) if c.diff_attn else branches[0]
            y = y.reshape(len(y), -1)
        return y

    def _keys(self, p: int, k: NDArray, rows: Rows, remember: Remember) -> tuple[NDArray, NDArray]:
        """k (n, heads, width) -> all keys so far, as they come and rotated"""
        rotated = remember("k", round_to(self.storage, self._rotate(p, k, rows)))
        return remember("plain_k", round_to(self.storage, k)), rotated

    def _attend(
        self, p: int, q: NDArray, plain_keys: NDArray, keys: NDArray, values: NDArray, rows: Rows, table: str
    ) -> NDArray:
        """(n, heads, width) -> (n, heads, value width)"""
        c, start, bias = self.config, len(keys) - len(q), None
        if c.cope:
            z = linear(q.reshape(len(q), -1), self._weights[table][0].transpose(0, 2, 1), self.storage, None, c.num_heads)
            bias = cope_bias(q, self._heads(z), plain_keys, start, rows.mask)
        scale = c.betas[p] or 1 / math.sqrt(c.key_width(p))
        return attention(self._rotate(p, q, rows), keys, values, start, rows.mask, scale=scale, bias=bias, storage=self.storage)

    def _rotate(self, p: int, x: NDArray, rows: Rows) -> NDArray:
        """(n, heads, width) -> (n, heads, width)"""
        rotary = self.config.position_embedders[p]
        if rotary is None or self.config.is_hopfield(p):
            return x
        width = x.shape[-1]
        rotated = rotary.rotated(width)
        turns = angle_turns(rows.positions + (rotary.style == "om"), rotary.angles(width))
        front = rope(x[..., :rotated], turns, "interleaved" if rotary.style == "om" else "half")
        return np.concatenate([front, x[..., rotated:]], axis=-1)

    def _difference(self, layer: int, name: str, a: NDArray, b: NDArray) -> NDArray:
        """(n, heads, width) -> (n, heads, width)"""
        init = 0.8 - 0.6 * math.exp(-0.3 * layer)
        q1, k1, q2, k2 = (
            self._weights[f"{name}.lambda_{part}"].reshape(self.config.num_heads, -1) for part in ("q1", "k1", "q2", "k2")
        )
        weight, bias = (
            np.concatenate([self._weights[f"{name}.out_norms.{h}.{part}"] for h in range(self.config.num_heads)])
            for part in ("weight", "bias")
        )
        y = differential(a, b, q1, k1, q2, k2, init)
        y = layer_norm(y.reshape(len(y), -1), weight, bias, EPS, self.config.num_heads)
        return (y * y.dtype.type(1 - init)).reshape(a.shape)

    #
    # Layers
    #

    def layer(self, layer: int, x: NDArray, heads: NDArray) -> NDArray:
        """A layer from the passes of the token rows on.

        x (n, dim_input), heads (n, heads * attn_proj_rank) -> (n, dim_input), of the last layer (n, hidden)
        """
        c, name = self.config, f"layers.{layer}"
        x = linear(heads, self._weights[f"{name}.attn.proj_out.weight"], self.storage) + x
        if not (c.diff_attn and c.diff_skip_attn_norm):
            x = self._norm(f"{name}.attn_norm", x)
        y = self._mlp(f"{name}.mlp", x)
        return self._norm(f"{name}.mlp_norm", y + x if y.shape == x.shape else y)

    def written(self, layer: int, heads: NDArray) -> NDArray:
        """A layer's new state from the passes of its write rows.

        (state_len, heads * attn_proj_rank) -> (state_len, dim_input)
        """
        name = f"layers.{layer}"
        state = linear(heads, self._weights[f"{name}.attn.proj_out_state.weight"], self.storage)
        return self._norm(f"{name}.state_norm", state) if self.config.state_norm else state

    def _mlp(self, name: str, x: NDArray) -> NDArray:
        """(n, dim_input) -> (n, dim_input), of the last layer (n, hidden)"""
        kind, layers = self.config.activation, range(3 if self.config.mlp_1221 else 2)

        def transposed(matrix: str, y: NDArray, bias: str | None = None) -> NDArray:
            offset = None if bias is None else self._weights[f"{name}.{bias}"]
            return linear(y, self._weights[f"{name}.{matrix}"].T, self.storage, offset)

        if kind.startswith("ffn"):
            gate, up = transposed("W1", x), transposed("V", x)
            return transposed("W2", glu(gate, up, {"ffnglu": "sigmoid", "ffngeglu": "gelu", "ffnswiglu": "silu"}[kind]))
        for i in layers:
            if kind in ("swiglu", "geglu"):
                gate, up = transposed(f"{i}.W", x, f"{i}.b"), transposed(f"{i}.V", x, f"{i}.c")
                beta = self._weights.get(f"{name}.{i}.swish.beta")
                x = (activation("gelu", gate) if beta is None else swish(gate, beta)) * up
                continue
            x = linear(x, self._weights[f"{name}.{2 * i}.weight"], self.storage, self._weights[f"{name}.{2 * i}.bias"])
            if i != layers[-1]:
                x = swish(x, self._weights[f"{name}.1.beta"]) if kind == "swish" else activation(kind, x)
        return x

    def _norm(self, name: str, x: NDArray, groups: int = 1) -> NDArray:
        weight, bias = (self._weights[f"{name}.{part}"].reshape(-1) for part in ("weight", "bias"))
        return layer_norm(x, weight, bias, EPS, groups)

    def _map(self, name: str, x: NDArray) -> NDArray:
        """A matrix for each head, whose input is its own part of x or, in the first pass, all of it.

        x (n, in) or (n, heads * in) -> (n, heads * out)
        """
        maps = self._weights[f"{name}.weights"][0].transpose(0, 2, 1)  # (heads, out, in)
        if x.shape[1] == maps.shape[2]:
            return linear(x, maps.reshape(-1, maps.shape[2]), self.storage)
        return linear(x, maps, self.storage, None, self.config.num_heads)

    def _by_kind(self, function: Callable[[str, NDArray], NDArray], x: NDArray, rows: Rows) -> NDArray:
        return np.concatenate([function(self.config.kind(kind), x[part]) for kind, part in rows.kinds])

    def _heads(self, x: NDArray) -> NDArray:
        return x.reshape(len(x), self.config.num_heads, -1)
