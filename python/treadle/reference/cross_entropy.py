import numpy as np
from numpy.typing import NDArray


def cross_entropy(
    logits: NDArray, targets: NDArray[np.integer], ignore_index: int, label_smoothing: float = 0.0
) -> float:
    """Mean cross-entropy over the targets other than `ignore_index`; NaN where there are none.

    Smoothing e is PyTorch's: (1 - e) * -log p[target] + e * mean over all classes of -log p.

    logits (N, classes), targets (N) -> scalar
    """
    counted = targets != ignore_index
    logits, targets = logits[counted], targets[counted]
    if not len(targets):
        return float("nan")
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    picked = np.take_along_axis(log_p, targets[:, None], axis=-1)[:, 0]
    loss = (1 - label_smoothing) * -picked
    if label_smoothing:  # the mean is infinite where some logits are -inf
        loss = loss + label_smoothing * -log_p.mean(axis=-1)
    return float(loss.mean())
