from numpy.typing import NDArray

from .linear import linear
from .rounding import Storage


def low_rank_linear(x: NDArray, down: NDArray, up: NDArray, scale: float = 1.0, storage: Storage = "f32") -> NDArray:
    """scale * up · (down · x), no bias (docs/Families/miniaxion.md, LowRank).

    Each factor rounds its own operands to `storage`, the latent among them; the scale comes last.

    x (..., in), down (rank, in), up (out, rank) -> (..., out)
    """
    return scale * linear(linear(x, down, storage), up, storage)
