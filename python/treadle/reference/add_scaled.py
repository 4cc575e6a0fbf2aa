from numpy.typing import NDArray


def add_scaled(x: NDArray, update: NDArray, step: NDArray) -> NDArray:
    """x + step[g] * update for each of len(step) equal groups g of columns (docs/Families/nanohammer.md, State cell).

    x, update (..., groups * n), step (groups) -> (..., groups * n)
    """
    parts = update.reshape(*update.shape[:-1], len(step), -1) * step[:, None]
    return x + parts.reshape(x.shape)
