"""Muon for the low-rank factors, Adam for everything else.

Muon steps along the orthogonalised momentum, so that all of the 16 directions of a
factor learn at the same pace; under Adam the few strong ones lead for a long time.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Quintic Newton-Schulz iteration of Keller Jordan's Muon (2024): five steps bring the
# singular values near 1.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


def orthogonalise(x: Tensor) -> Tensor:
    """Bring the singular values of each matrix of x (batch, m, n), m <= n, near 1."""
    a, b, c = NEWTON_SCHULZ
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; wide and tall matrices go in one batch.

    Steps have unit norm whatever the gradient, so without decay the factors keep
    growing, and in a trial the loss rose again; decay bounds their norm by about
    1 / decay.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        decay: float,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            batches: dict[int, list[tuple[nn.Parameter, Tensor]]] = {}
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(mean, group["momentum"])
                wide = update if p.shape[0] <= p.shape[1] else update.mT
                batches.setdefault(wide.shape[1], []).append((p, wide))
            for batch in batches.values():
                steps = orthogonalise(torch.stack([wide for _, wide in batch]))
                for (p, _), step in zip(batch, steps, strict=True):
                    wide_p = p if p.shape[0] <= p.shape[1] else p.mT
                    wide_p.mul_(1 - group["lr"] * group["decay"])
                    wide_p.sub_(step, alpha=group["lr"])


def optimizers(
    model: nn.Module, muon_rate: float, muon_decay: float, adam_rate: float
) -> list[torch.optim.Optimizer]:
    factors = [
        p for name, p in model.named_parameters() if p.ndim == 2 and "_proj." in name
    ]
    chosen = set(factors)
    others = [p for p in model.parameters() if p not in chosen]
    adam = torch.optim.Adam(others, lr=adam_rate, betas=(0.9, 0.98), fused=True)
    return [Muon(factors, muon_rate, muon_decay), adam]
