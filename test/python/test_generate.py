"""`Session.generate` and `treadle.score`, on the toy model of test/Runtime."""

from typing import Any

import numpy as np
import pytest
import treadle
from numpy.typing import NDArray
from toy_model import CONTEXT, EOS, IDS, VOCAB, refused
from treadle import Status


def greedy(model: treadle.Model, ids: NDArray, count: int) -> list[int]:
    """The plain way: the whole text again for each token."""
    text = ids.tolist()
    for _ in range(count):
        text.append(int(model.session().forward(text).argmax()))
    return text[len(ids) :]


def test_greedy(toy: treadle.Model) -> None:
    s = toy.session()
    assert list(s.generate(IDS[:5], max_new_tokens=12, stop=())) == greedy(toy, IDS[:5], 12)
    # All tokens are held but the last one yielded.
    assert s.position == 5 + 11


def test_stop_ids(toy: treadle.Model) -> None:
    expected = greedy(toy, IDS[:5], 12)
    for stop in (expected[4], [expected[4]], {expected[4], VOCAB + 3}, np.array(expected[4:5])):
        found = list(toy.session().generate(IDS[:5], 12, stop=stop))
        assert found == expected[: expected.index(expected[4]) + 1]
    # By default the config's, the id last.
    for seed in range(8):
        free = list(toy.session().generate(IDS[:5], 40, 5.0, seed=seed, stop=()))
        ends = [i for i, token in enumerate(free) if token in EOS]
        stopped = list(toy.session().generate(IDS[:5], 40, 5.0, seed=seed))
        assert stopped == free[: ends[0] + 1 if ends else 40]


def test_seeds(toy: treadle.Model) -> None:
    def text(seed: int, **options: Any) -> list[int]:
        return list(toy.session().generate(IDS[:5], 30, 2.0, seed=seed, stop=(), **options))

    assert text(1) == text(1) == text(1 + 2**64) and text(-1) == text(2**64 - 1)
    assert len({tuple(text(seed)) for seed in range(5)}) == 5
    assert text(3, top_k=1) == greedy(toy, IDS[:5], 30) == text(4, top_p=0.0)


def test_draws_follow_the_probabilities(toy: treadle.Model) -> None:
    logits = toy.session().forward(IDS[:5]).astype(float)
    p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    draws = [next(iter(toy.session().generate(IDS[:5], 1, 1.0, seed=seed, stop=()))) for seed in range(1000)]
    found = np.bincount(draws, minlength=VOCAB) / len(draws)
    assert np.abs(found - p).max() < 4 * np.sqrt(p.max() / len(draws))


def test_generate_checks_before_it_runs(toy: treadle.Model) -> None:
    s = toy.session()
    bad: list[tuple[dict[str, Any], str]] = [
        ({"ids": []}, "at least one token"),
        ({"ids": [VOCAB]}, "expects token ids"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 1.0, "top_p": 1.5}, "top_p"),
        ({"temperature": 1.0, "top_k": -1}, "top_k"),
        ({"top_k": 2**31}, "top_k"),
        ({"max_new_tokens": -1}, "max_new_tokens: expected 0 or more"),
    ]
    for options, message in bad:
        with refused(Status.INVALID_ARGUMENT, message):
            s.generate(**{"ids": [1], **options})
    with pytest.raises(TypeError, match="stop: expected an integer"):
        s.generate([1], stop=["a"])  # type: ignore[list-item]
    assert s.position == 0


def test_generate_at_the_end_of_the_context(toy: treadle.Model) -> None:
    assert len(list(toy.session(context=8).generate(IDS[:5], 20, stop=()))) == 4
    with refused(Status.FULL, "the context is full"):
        next(iter(toy.session(context=4).generate(IDS[:5], 20)))
    s = toy.session(context=8, on_full="recompute")
    found = list(s.generate(IDS[:5], 20, stop=()))
    text = [*IDS[:5].tolist(), *found]
    assert len(found) == 20
    for end in range(5, 25):
        assert text[end] == toy.session().forward(text[max(0, end - 8) : end]).argmax()


def test_no_tokens(toy: treadle.Model) -> None:
    s = toy.session()
    assert list(s.generate(IDS[:5], 0)) == [] and s.position == 5


def test_score(toy: treadle.Model) -> None:
    logits = toy.session(loops=2).forward(IDS[:-1], logits="all").astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = treadle.score(toy, IDS.tolist(), loops=2)
    assert found.shape == (len(IDS) - 1,) and found.dtype == np.float64
    np.testing.assert_allclose(found, np.log(p[np.arange(len(p)), IDS[1:]]), rtol=1e-12)
    assert treadle.score(toy, [3]).shape == (0,)
    # A whole context and one more: the last token is not run.
    assert len(treadle.score(toy, [1] * (CONTEXT + 1))) == CONTEXT
    with refused(Status.FULL, ""):
        treadle.score(toy, [1] * (CONTEXT + 2))
    for bad in ([], [VOCAB], [1, VOCAB], [1, -1]):
        with refused(Status.INVALID_ARGUMENT, "expects"):
            treadle.score(toy, bad)
