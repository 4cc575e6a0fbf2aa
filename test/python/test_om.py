"""`treadle.om.call` against the reference's `call`, and against itself in several calls."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import treadle
from cases import FAMILIES, Case
from judge import f32_tolerance, relative_error
from numpy.typing import NDArray
from treadle import Status, _capi

OM = FAMILIES["om"]
# Segments of 7 or 24 tokens, with and without a context of ids.
CASES = [OM.TYPICAL, *(case for case in OM.CASES if case.config["segment_len"] == 24)][:3]


class Opened:
    """A case as a library, and its reference in float64 and float32."""

    def __init__(self, case: Case, folder: Path, compile_library: Callable[..., None]):
        self.case = case
        config, weights = case.write(folder)
        self.exact, self.single = (case.reference(weights, dtype) for dtype in (np.float64, np.float32))
        compile_library(config, weights=weights, out=folder / "m.so", dtype="f32")
        self.model = treadle.load(folder / "m.so")
        self.context = self.exact.config.context_len
        self.segment = case.config["segment_len"]

    def ids(self, count: int) -> NDArray[np.int64]:
        """Padding as the context, then `count` ids."""
        padding = np.full(self.context, self.exact.config.pad_token_id)
        return np.concatenate([padding, np.resize(self.case.ids, count)])


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def om(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, compile_library: Callable[..., None]
) -> Opened:
    return Opened(request.param, tmp_path_factory.mktemp(request.param.name), compile_library)


@pytest.mark.parametrize("next_token", [False, True])
@pytest.mark.parametrize("rest", [0, 1, 5])
def test_call_is_that_of_the_reference(om: Opened, rest: int, next_token: bool) -> None:
    ids = om.ids(2 * om.segment + rest)
    logits, states = treadle.om.call(om.model, ids, next_token=next_token)
    expected, expected_states = om.exact.call(ids, next_token=next_token)
    single, single_states = om.single.call(ids, next_token=next_token)
    assert logits.shape == ((om.case.vocabulary,) if next_token else (len(ids) - om.context, om.case.vocabulary))
    assert relative_error(logits, expected) <= f32_tolerance(relative_error(single, expected))
    assert len(states) == om.case.config["num_layers"]
    for found, exact, rounded in zip(states, expected_states, single_states):
        assert relative_error(found, exact) <= f32_tolerance(relative_error(rounded, exact))


def test_states_are_those_given(om: Opened) -> None:
    """Random states, and ids as the context."""
    generator = np.random.default_rng(1)
    shape = (om.case.config["num_layers"], om.case.config["state_len"], om.case.config["dim_input"])
    states = list(generator.standard_normal(shape).astype(np.float32))
    ids = om.case.ids[: om.context + 9]
    found, _ = treadle.om.call(om.model, ids, states)
    expected, single = (reference.call(ids, states)[0] for reference in (om.exact, om.single))
    assert relative_error(found, expected) <= f32_tolerance(relative_error(single, expected))


def test_several_calls_give_the_bits_of_one(om: Opened) -> None:
    ids = om.ids(3 * om.segment + 3)
    logits, states = treadle.om.call(om.model, ids)
    pieces, kept = [], []
    for start, count in ((0, om.segment), (om.segment, 2 * om.segment), (3 * om.segment, 3)):
        piece, kept = treadle.om.call(om.model, ids[start : start + om.context + count], kept)
        pieces.append(piece)
    np.testing.assert_array_equal(np.concatenate(pieces), logits)
    np.testing.assert_array_equal(kept, states)
    last, before = treadle.om.call(om.model, ids, next_token=True)
    np.testing.assert_array_equal(last, logits[-1])
    _, whole = treadle.om.call(om.model, ids[:-3])
    np.testing.assert_array_equal(before, whole)


def test_every_call_starts_a_segment(om: Opened) -> None:
    ids = om.ids(om.segment)
    whole, _ = treadle.om.call(om.model, ids)
    first, states = treadle.om.call(om.model, ids[: om.context + 3])
    second, _ = treadle.om.call(om.model, ids[3:], states)
    np.testing.assert_array_equal(first, whole[:3])
    assert not np.array_equal(second, whole[3:])


def test_ids_are_those_of_the_vocabulary(om: Opened) -> None:
    """Logits are wider: the columns behind the vocabulary are -infinity, and stand for no token."""
    count, width = om.model.info["token_count"], om.model.info["vocab_size"]
    assert count == om.case.config["vocab_size"] and width == om.exact.config.vocab_adj
    with om.model.session() as session:
        logits = session.forward([count - 1])
        assert logits.shape == (width,) and np.all(logits[count:] == -np.inf) and np.all(np.isfinite(logits[:count]))
        message = f"expects token ids from 0 to {count - 1}, got {count} at index 1"
        for run in (session.forward, session.generate, lambda ids: treadle.score(om.model, ids)):
            with pytest.raises(treadle.TreadleError, match=message):
                run([1, count])
        assert session.position == 1


def test_the_library_knows_what_ids_are(om: Opened) -> None:
    """Other languages call it, and they check nothing before it does."""
    count, width = om.model.info["token_count"], om.model.info["vocab_size"]
    with om.model.session() as session:
        forward, last = om.model._library.table.session_forward, np.array([count - 1], np.int32)
        for ids, status in ((last, 0), (last + 1, Status.INVALID_ARGUMENT)):
            assert forward(session._handle._pointer, _capi.address(ids), None, 1, 0, None, 0) == status
        states = session.states()
        states["ids"][-1] = count
        with pytest.raises(treadle.TreadleError, match="state 'ids': value 0 is not one that it can hold"):
            session.set_states(states)
        better_behind = np.linspace(0, 1, width, dtype=np.float32)
        assert session._sample(better_behind, _capi.SampleParams()) == count - 1


def test_no_states_are_none(om: Opened) -> None:
    ids = om.ids(9)
    for none in (None, [], ()):
        np.testing.assert_array_equal(treadle.om.call(om.model, ids, none)[0], treadle.om.call(om.model, ids)[0])


def test_an_id_that_is_none_stands_for_no_token(om: Opened) -> None:
    if not om.context:
        return

    def logits(history: list[int]) -> NDArray[np.float32]:
        with om.model.session() as session:
            session.set_states({"history": np.resize(history, om.context)})
            return session.forward(om.case.ids[:5], logits="all")

    np.testing.assert_array_equal(logits([10_000_000, -7]), logits([-1]))


def test_what_does_not_fit_is_refused(om: Opened) -> None:
    ids = om.ids(4)
    _, states = treadle.om.call(om.model, ids)
    with pytest.raises(treadle.TreadleError, match=f"expects at least {om.context + 1} ids, got {om.context}"):
        treadle.om.call(om.model, ids[: om.context] if om.context else [])
    with pytest.raises(treadle.TreadleError, match=r"states\[0\]: expects shape"):
        treadle.om.call(om.model, ids, [states[0][1:], *states[1:]])
    with pytest.raises(treadle.TreadleError, match=f"expects {len(states)} states, one for each layer"):
        treadle.om.call(om.model, ids, [*states, states[0]])
    with pytest.raises(treadle.TreadleError, match=f"expects token ids from 0 to {om.case.config['vocab_size'] - 1}"):
        treadle.om.call(om.model, [*ids, om.case.config["vocab_size"]])
