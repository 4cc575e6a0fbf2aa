"""MiniAxion ("nano reasoning model"), as docs/Families/miniaxion.md describes it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .attention import attention
from .cross_entropy import cross_entropy
from .embedding import embedding
from .gate_blend import gate_blend
from .glu import glu
from .linear import linear
from .low_rank_linear import low_rank_linear
from .miniaxion_config import EMBEDDING, HEAD, MiniAxionConfig
from .rms_norm import rms_norm
from .rope import rope, rope_turns
from .rounding import Storage, round_to

Attend = Callable[[int, NDArray, NDArray, NDArray], NDArray]
"""attend(slot, q, k, v): attention of the effective layer `slot`, given the q, k and v of the rows at hand."""


class MiniAxion:
    """The family's forward pass.

    config   the published keys and the open fields; absent or null ones follow from the shapes of `tensors`, else the
             defaults hold
    tensors  canonical name -> array; a head that holds the embedding's numbers may be there or not
    dtype    float64, or float32: every step is evaluated in it
    storage  how the library under test stores matrices. With "bf16" the reference rounds what the library rounds: the
             matrices, each activation just before it meets one, and the rows of K and V that enter the cache. Norm
             weights, q, softmax and sums stay in `dtype`.
    """

    Config = MiniAxionConfig
    tied = {HEAD: EMBEDDING}
    """Matrices that may be stored twice: name -> the name that stays."""

    def __init__(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, NDArray],
        dtype: DTypeLike = np.float64,
        storage: Storage = "f32",
    ):
        tensors = dict(tensors)
        if config.get("weight_tying") is not False and _same(tensors.get(HEAD), tensors.get(EMBEDDING)):
            del tensors[HEAD]
        self.config = MiniAxionConfig.from_dict(config, {name: array.shape for name, array in tensors.items()})
        self.storage: Storage = storage
        self._weights: dict[str, NDArray] = {}
        for name, spec in self.config.tensors().items():
            if name not in tensors or tensors[name].shape != spec.shape:
                found = f"shape {list(tensors[name].shape)}" if name in tensors else "none"
                raise ValueError(f"{name}: expected a tensor of shape {list(spec.shape)}, got {found}")
            self._weights[name] = np.asarray(tensors[name], dtype)

    def forward(
        self,
        ids: NDArray[np.integer],
        attention_mask: NDArray | None = None,
        labels: NDArray[np.integer] | None = None,
        n_think_loops: int = 1,
    ) -> tuple[NDArray, float | None]:
        """Logits of a whole window, and the training loss where `labels` are given.

        A token whose attention_mask is 0 takes a position and is never attended. (The published code's mask has the
        opposite sense: True for padding.) The loss is the cross-entropy of logits[:, :-1] against labels[:, 1:] with
        label 0 ignored and label smoothing 0.05.

        ids, attention_mask, labels (T) or (B, T) -> logits (T, vocab) or (B, T, vocab), loss
        """
        ids = np.asarray(ids)
        batch = np.atleast_2d(ids)
        masks = [None] * len(batch) if attention_mask is None else np.broadcast_to(attention_mask, batch.shape)
        logits = np.stack([self._window(row, mask, n_think_loops) for row, mask in zip(batch, masks)])
        loss = None
        if labels is not None:
            targets = np.atleast_2d(labels)[:, 1:]
            loss = cross_entropy(
                logits[:, :-1].reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=0, label_smoothing=0.05
            )
        return logits.reshape(*ids.shape, -1), loss

    def _window(self, ids: NDArray[np.integer], mask: NDArray | None, n_think_loops: int) -> NDArray:
        return self.rows(ids, 0, lambda slot, q, k, v: attention(q, k, v, mask=mask), n_think_loops)

    def rows(self, ids: NDArray[np.integer], start: int, attend: Attend, n_think_loops: int = 1) -> NDArray:
        """Logits of some rows of a window, the first at position `start`; `attend` supplies the keys before them.

        Slots number the effective layers in the order they run: a shared block has one for each pass.

        ids (T) -> (T, vocab)
        """
        self._check_ids(ids, start)
        c, stacks, slot = self.config, self.config.blocks(), 0
        turns = rope_turns(np.arange(start, start + len(ids)), c.head_dim, c.rope_theta)

        def run(block: str, x: NDArray) -> NDArray:
            nonlocal slot
            slot += 1
            return self._block(block, x, turns, lambda q, k, v: attend(slot - 1, q, k, v))

        x = embedding(ids, self._weights[EMBEDDING], self.storage)
        for block in stacks["entry_layers"]:
            x = run(block, x)

        passes = max(1, n_think_loops) if c.use_thinking_tokens else 1
        x0 = x
        for number in range(1, passes + 1):
            blending = number < passes
            for block in stacks["shared_layers"]:
                x = run(block, x)
                if blending and c.think_blend == "layer":
                    x = gate_blend(x, x0, self._weights["think_gate"])
            if blending and c.think_blend == "pass":
                x = gate_blend(x, x0, self._weights["think_gate"])

        for block in stacks["exit_layers"]:
            x = run(block, x)
        x = self._norm("final_norm", x)
        return linear(x, self._weights[EMBEDDING if c.weight_tying else HEAD], self.storage)

    def _block(
        self, name: str, x: NDArray, turns: NDArray, attend: Callable[[NDArray, NDArray, NDArray], NDArray]
    ) -> NDArray:
        """x (T, d_model) -> (T, d_model)"""

        def heads(projection: str, y: NDArray) -> NDArray:
            return self._low_rank(f"{name}.attn.{projection}", y).reshape(len(y), -1, self.config.head_dim)

        y = self._norm(f"{name}.norm1", x)
        q = rope(heads("q_proj", y), turns, self.config.rope_pairing)
        k = rope(heads("k_proj", y), turns, self.config.rope_pairing)
        v = heads("v_proj", y)
        attended = attend(q, round_to(self.storage, k), round_to(self.storage, v))
        x = x + self._low_rank(f"{name}.attn.o_proj", attended.reshape(x.shape))

        y = self._norm(f"{name}.norm2", x)
        inner = glu(self._low_rank(f"{name}.ffn.gate_proj", y), self._low_rank(f"{name}.ffn.up_proj", y))
        return x + self._low_rank(f"{name}.ffn.down_proj", inner)

    def _norm(self, name: str, x: NDArray) -> NDArray:
        return rms_norm(x, self._weights[f"{name}.weight"], self.config.rms_norm_eps)

    def _low_rank(self, name: str, x: NDArray) -> NDArray:
        down, up = (self._weights[f"{name}.{factor}.weight"] for factor in ("down", "up"))
        return low_rank_linear(x, down, up, self.config.lora_scale, self.storage)

    def _check_ids(self, ids: NDArray[np.integer], start: int) -> None:
        c = self.config
        if start + len(ids) > c.max_seq_len:
            raise ValueError(f"expected at most max_seq_len {c.max_seq_len} tokens, got {start + len(ids)}")
        if len(ids) and not (0 <= ids.min() and ids.max() < c.vocab_size):
            raise ValueError(f"expected token ids in 0 ... {c.vocab_size - 1}, got {ids.min()} ... {ids.max()}")


def _same(a: NDArray | None, b: NDArray | None) -> bool:
    return a is not None and b is not None and np.array_equal(a, b)
