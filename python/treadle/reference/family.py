"""What the references of all families share: weights by canonical name, batches, masks and the loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .cross_entropy import cross_entropy
from .rounding import Storage
from .tensor_spec import TensorSpec


class Config(Protocol):
    """A family's config: a frozen dataclass of its fields and open choices."""

    vocab_size: int

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]] | None = None) -> "Config":
        """The config with its open fields filled in from the weights' `shapes`, where given, and the defaults."""
        ...

    def tensors(self) -> dict[str, TensorSpec]:
        """Every weight by its canonical name."""
        ...


class Reference(ABC):
    """A family's forward pass.

    config   the published keys and the open fields; absent or null ones follow from the shapes of `tensors`, else the
             defaults hold
    tensors  canonical name -> array; a tied matrix may be there twice
    dtype    float64, or float32: every step is evaluated in it
    storage  how the library under test stores matrices. With "bf16" the reference rounds what the library rounds: the
             matrices, each activation just before it meets one, the rows of K and V that enter the cache, and what
             meets these: q, and the exponentials of attention. Norm weights, sums and recurrent states stay in `dtype`.
    """

    Config: ClassVar[type]
    tied: ClassVar[Mapping[str, str]] = {}
    """Matrices that may be stored twice: name -> the name that stays."""
    tying_field: ClassVar[str] = "tie_word_embeddings"
    ignore_index: ClassVar[int] = -100
    label_smoothing: ClassVar[float] = 0.0

    def __init__(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, NDArray],
        dtype: DTypeLike = np.float64,
        storage: Storage = "f32",
    ):
        tensors = dict(tensors)
        if config.get(self.tying_field) is not False:
            for name, original in self.tied.items():
                if _same(tensors.get(name), tensors.get(original)):
                    del tensors[name]
        self.config = self.Config.from_dict(config, {name: array.shape for name, array in tensors.items()})
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
        **options: Any,
    ) -> tuple[NDArray, float | None]:
        """Logits of a whole window, and the training loss where `labels` are given.

        A token whose attention_mask is 0 takes a position, is never attended and enters no recurrent state. The loss
        is the cross-entropy of logits[:, :-1] against labels[:, 1:], labels that are `ignore_index` left out.
        `options` are the family's own (see `window`).

        ids, attention_mask, labels (T) or (B, T) -> logits (T, vocab) or (B, T, vocab), loss
        """
        ids = np.asarray(ids)
        batch = np.atleast_2d(ids)
        masks = [None] * len(batch) if attention_mask is None else np.broadcast_to(attention_mask, batch.shape)
        logits = np.stack([self.window(row, mask, **options) for row, mask in zip(batch, masks)])
        loss = None
        if labels is not None:
            loss = cross_entropy(
                logits[:, :-1].reshape(-1, logits.shape[-1]),
                np.atleast_2d(labels)[:, 1:].reshape(-1),
                ignore_index=self.ignore_index,
                label_smoothing=self.label_smoothing,
            )
        return logits.reshape(*ids.shape, -1), loss

    @abstractmethod
    def window(self, ids: NDArray[np.integer], mask: NDArray | None, **options: Any) -> NDArray:
        """Logits of one sequence from its start.

        ids, mask (T) -> (T, vocab)
        """

    def _check_ids(self, ids: NDArray[np.integer], start: int, context_field: str) -> None:
        """Raises a ValueError unless a window [start, start + len(ids)) of these ids fits the config."""
        context = getattr(self.config, context_field)
        if start + len(ids) > context:
            raise ValueError(f"expected at most {context_field} {context} tokens, got {start + len(ids)}")
        vocab_size = self.config.vocab_size
        if len(ids) and not (0 <= ids.min() and ids.max() < vocab_size):
            raise ValueError(f"expected token ids in 0 ... {vocab_size - 1}, got {ids.min()} ... {ids.max()}")


def _same(a: NDArray | None, b: NDArray | None) -> bool:
    return a is not None and b is not None and np.array_equal(a, b)
