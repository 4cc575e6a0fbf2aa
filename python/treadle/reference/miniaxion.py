"""MiniAxion ("nano reasoning model"), as docs/Families/miniaxion.md describes it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .attention import attention
from .embedding import embedding
from .family import Reference
from .gate_blend import gate_blend
from .glu import glu
from .linear import linear
from .low_rank_linear import low_rank_linear
from .miniaxion_config import EMBEDDING, HEAD, MiniAxionConfig
from .rms_norm import rms_norm
from .rope import rope, rope_turns
from .rounding import round_to

Attend = Callable[[int, NDArray, NDArray, NDArray], NDArray]
"""attend(slot, q, k, v): attention of the effective layer `slot`, given the q, k and v of the rows at hand."""


class MiniAxion(Reference):
    """The family's forward pass."""

    Config = MiniAxionConfig
    tied = {HEAD: EMBEDDING}
    tying_field = "weight_tying"
    ignore_index = 0
    label_smoothing = 0.05

    def window(self, ids: NDArray[np.integer], mask: NDArray | None, n_think_loops: int = 1) -> NDArray:
        """Logits of one sequence. (The published code's mask has the opposite sense: True for padding.)

        ids, mask (T) -> (T, vocab)
        """
        return self.rows(ids, 0, lambda slot, q, k, v: attention(q, k, v, mask=mask, storage=self.storage), n_think_loops)

    def rows(self, ids: NDArray[np.integer], start: int, attend: Attend, n_think_loops: int = 1) -> NDArray:
        """Logits of some rows of a window, the first at position `start`; `attend` supplies the keys before them.

        Slots number the effective layers in the order they run: a shared block has one for each pass.

        ids (T) -> (T, vocab)
        """
        self._check_ids(ids, start, "max_seq_len")
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
