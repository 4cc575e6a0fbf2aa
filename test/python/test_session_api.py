"""Sessions, on the toy model of test/Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treadle
from toy_model import IDS, RING, VOCAB, refused, same, same_states
from treadle import Status, TreadleError

#
# Forward
#


def test_kinds_of_logits(toy: treadle.Model) -> None:
    s = toy.session(poison=True)
    whole = s.forward(IDS, logits="all")
    assert whole.shape == (len(IDS), VOCAB) and whole.dtype == np.float32 and np.isfinite(whole).all()
    assert s.position == len(IDS)
    assert same(toy.session().forward(IDS), whole[-1])
    t = toy.session()
    assert t.forward(IDS[:-1], logits="none") is None
    assert same(t.forward(IDS[-1:]), whole[-1])


@pytest.mark.parametrize("pieces", [[1] * 50, [7, 16, 1, 20, 6], [33, 17]], ids=str)
def test_chunks_give_the_same_bits(toy: treadle.Model, pieces: list[int]) -> None:
    whole, s = toy.session(loops=2), toy.session(loops=2, poison=True)
    expected = whole.forward(IDS, logits="all")
    found = [s.forward(piece, logits="all") for piece in np.split(IDS, np.cumsum(pieces)[:-1])]
    assert same(np.concatenate(found), expected) and same_states(s, whole)


def test_entry_calls(toy: treadle.Model) -> None:
    s = toy.session()
    s.forward(IDS[:33])
    calls = s.entry_calls
    assert calls["forward", 16] == 2 and calls["forward", 1] == 1 and calls["head", 1] == 1 and calls["head", 16] == 0
    s.reset()
    assert not any(s.entry_calls.values()) and s.position == 0


def test_kinds_of_ids(toy: treadle.Model) -> None:
    expected = toy.session().forward([1, 2, 3])
    every_second = np.array([1, 9, 2, 9, 3, 9], np.int64)[::2]
    kinds: list[Any] = [(1, 2, 3), range(1, 4), np.array([1, 2, 3], np.uint8), every_second, [np.int16(1), 2, 3]]
    for ids in kinds:
        assert same(toy.session().forward(ids), expected)


@pytest.mark.parametrize("bad", [-1, VOCAB, 2**31, 2**32, 2**63, 2**70, -(2**31) - 1])
def test_ids_out_of_range(toy: treadle.Model, bad: int) -> None:
    s = toy.session()
    with refused(Status.INVALID_ARGUMENT, f"expects token ids from 0 to 36, got {bad} at index 1"):
        s.forward([1, bad] if bad < 2**63 else np.array([1, bad], object))
    assert s.position == 0


def test_what_is_no_sequence_of_ids(toy: treadle.Model) -> None:
    s = toy.session()
    bad: list[Any] = [3, [[1, 2]], [1.0, 2.0], "12", ["1"], [True], np.ones(2), [None], None]
    for ids in bad:
        with pytest.raises(TypeError, match="ids: expected "):
            s.forward(ids)
    with refused(Status.INVALID_ARGUMENT, "expects at least one token"):
        s.forward([])
    assert s.position == 0


def test_masks(toy: treadle.Model) -> None:
    mask = np.arange(len(IDS)) % 6 != 2
    other = np.where(mask, IDS, (IDS + 1) % VOCAB)
    a, b = toy.session(), toy.session()
    plain = toy.session().forward(IDS)
    masked = a.forward(IDS, mask=mask)
    assert not same(masked, plain)
    assert same(b.forward(IDS, mask.tolist()), masked) and same_states(a, b)
    assert same(toy.session().forward(IDS, mask=mask.astype(int)), masked)
    assert not same(toy.session().forward(other, mask=mask), plain)


def test_bad_masks(toy: treadle.Model) -> None:
    s = toy.session()
    with refused(Status.INVALID_ARGUMENT, "expects a mask of 2 tokens, got 3"):
        s.forward([1, 2], mask=[1, 1, 1])
    for bad in (2, -1, 256):
        with refused(Status.INVALID_ARGUMENT, f"expects a mask of 0 and 1, got {bad} at index 1"):
            s.forward([1, 2], mask=[1, bad])
    for mask in (1, [1.0, 0.0], [[1, 0]], ["1", "0"]):
        with pytest.raises(TypeError, match="mask: expected "):
            s.forward([1, 2], mask=mask)
    assert s.position == 0


def test_bad_options(toy: treadle.Model) -> None:
    with refused(Status.INVALID_ARGUMENT, "logits: expected none, last, all, got 'first'"):
        toy.session().forward([1], logits="first")  # type: ignore[call-overload]
    for loops in (0, -1, 2**40):
        with refused(Status.INVALID_ARGUMENT, "loops: expected at least 1"):
            toy.session(loops=loops)
    with refused(Status.INVALID_ARGUMENT, "expects 1 to 3 loops, got 4"):
        toy.session(loops=4)
    with pytest.raises(TypeError, match="loops: expected an integer"):
        toy.session(loops=True)
    for context in (0, -1, 2**70):
        with refused(Status.INVALID_ARGUMENT, "context: expected at least 1"):
            toy.session(context=context)
    with refused(Status.INVALID_ARGUMENT, "expects a context of 1 to 64 positions, got 65"):
        toy.session(context=65)
    with refused(Status.INVALID_ARGUMENT, "on_full: expected stop, recompute"):
        toy.session(on_full="slide")  # type: ignore[arg-type]


def test_loops(toy: treadle.Model) -> None:
    logits = [toy.session(loops=loops).forward(IDS) for loops in (1, 2, 3)]
    assert not same(logits[0], logits[1]) and not same(logits[1], logits[2])
    assert toy.session().loops == 1 and same(toy.session().forward(IDS), logits[0])
    assert toy.session(loops="config").loops == 2


#
# The context's end
#


def test_stop_refuses_the_whole_call(toy: treadle.Model) -> None:
    s = toy.session(context=10)
    s.forward(IDS[:8])
    with refused(Status.FULL, "the context is full: 3 tokens at position 8 exceed 10"):
        s.forward(IDS[8:11])
    assert s.position == 8 and s.context == 10
    expected = toy.session().forward(IDS[:10])
    assert same(s.forward(IDS[8:10]), expected)


def test_recompute_runs_the_last_tokens(toy: treadle.Model) -> None:
    s = toy.session(context=10, on_full="recompute")
    found = s.forward(IDS[:14], logits="all")
    for end in range(11, 15):
        assert same(found[end - 1], toy.session().forward(IDS[end - 10 : end]))
    assert s.position == 10 and s.forgotten == 4


#
# Going back, copies
#


def test_checkpoints(toy: treadle.Model) -> None:
    s = toy.session(poison=True)
    s.forward(IDS[:20])
    mark = s.checkpoint()
    expected = s.forward(IDS[20:30], logits="all")
    s.rollback(mark)
    assert s.position == 20 and same(s.forward(IDS[20:30], logits="all"), expected)
    s.rollback(memoryview(bytearray(mark)))
    other = toy.session()
    other.forward(IDS[:20])
    with refused(Status.MISMATCH, ""):
        other.rollback(mark)
    s.reset()
    s.forward(IDS[:5])
    with refused(Status.OVERWRITTEN, "position 20 is lost"):
        s.rollback(mark)
    for bad in (b"", mark[:-1], bytes(len(mark))):
        with refused(Status.CORRUPT, ""):
            s.rollback(bad)
    with pytest.raises(TypeError, match="mark: expected contiguous bytes, got str"):
        s.rollback("mark")  # type: ignore[arg-type]


def test_truncate(toys: Path, toy: treadle.Model) -> None:
    with treadle.load(toys / "toy-append.so") as model:
        s = model.session()
        expected = s.forward(IDS, logits="all")
        s.truncate(17)
        assert s.position == 17 and same(s.forward(IDS[17:], logits="all"), expected[17:])
        for bad in (-1, 51, 2**62):
            with refused(Status.INVALID_ARGUMENT, "expects a position from 0 to 50"):
                s.truncate(bad)
        with refused(Status.INVALID_ARGUMENT, "position: expected an integer of 64 bits"):
            s.truncate(2**63)
        with pytest.raises(TypeError, match="position: expected an integer"):
            s.truncate(1.0)  # type: ignore[arg-type]
    t = toy.session()
    t.forward(IDS)
    with refused(Status.NEEDS_CHECKPOINT, "take a checkpoint"):
        t.truncate(17)
    t.truncate(0)
    assert t.position == 0


def test_turns(toys: Path, toy: treadle.Model) -> None:
    with treadle.load(toys / "turns.so") as model, model.session(loops=2, context=5, poison=True) as s:
        assert (model.info["context"], model.info["period"], s.context) == (0, 8, 0)
        assert [entry["kind"] for entry in model.info["entry_points"][-2:]] == ["open", "close"]
        leads = {state["name"]: (state["lead"], state["by_turn"]) for state in model.info["states"]}
        assert leads["keys"] == (2, False) and leads["memory"] == (0, True) and leads["ids"] == (0, False)

        s.forward(IDS[:19])
        assert (s.position, s.since_turn) == (19, 3)
        assert s.states()["ids"].shape == (3,) and s.states()["mask"].shape == (5,)
        assert (s.entry_calls["open", 2], s.entry_calls["close", 3]) == (3, 2)
        s.truncate(17)
        with refused(Status.NEEDS_CHECKPOINT, "there has been a turn since 15, at 16"):
            s.truncate(15)
        within = s.checkpoint()
        s.turn()
        assert (s.position, s.since_turn) == (17, 0)
        after, blob = s.checkpoint(), s.save()
        logits = s.forward(IDS[17:30])
        with refused(Status.OVERWRITTEN, "given way"):
            s.rollback(within)
        s.rollback(after)
        assert same(s.forward(IDS[17:30]), logits)
        with model.session(loops=2) as t:
            t.load(blob)
            assert t.position == 17 and same(t.forward(IDS[17:30]), logits)
    with toy.session() as s, refused(Status.UNSUPPORTED, "no turns"):
        s.turn()


def test_fork(toy: treadle.Model) -> None:
    s = toy.session(loops=2)
    s.forward(IDS[:20])
    t = s.fork()
    s.forward(IDS[40:], logits="none")
    assert t.position == 20 and t.loops == 2 and t.model is toy
    assert same(t.forward(IDS[20:40]), toy.session(loops=2).forward(IDS[:40]))


def test_save_and_load(toy: treadle.Model) -> None:
    s = toy.session()
    s.forward(IDS[:20])
    blob = s.save()
    fresh = toy.session(poison=True)
    fresh.load(blob)
    assert fresh.position == 20 and same_states(fresh, s)
    assert same(fresh.forward(IDS[20:]), toy.session().forward(IDS))
    for bad in (b"", blob[:-1], blob[:40] + bytes([blob[40] ^ 1]) + blob[41:]):
        with pytest.raises(TreadleError) as error:
            fresh.load(bad)
        assert error.value.status in (Status.CORRUPT, Status.MISMATCH) and error.value.message
    with refused(Status.MISMATCH, "loops"):
        toy.session(loops=2).load(blob)
    assert fresh.position == 50


#
# States
#


def test_states(toy: treadle.Model) -> None:
    s = toy.session(loops=2)
    s.forward(IDS[:20])
    states = s.states()
    assert {name: values.shape for name, values in states.items()} == {
        "ids": (20,),
        "mask": (20,),
        "keys": (2, 2, 20, 8),
        "halves": (2, 20, 1, 1),
        "cell": (2, 2, 4),
        "taps": (RING, 8),
        "count": (),
    }
    np.testing.assert_array_equal(states["ids"], IDS[:20])
    assert all(values.dtype == np.float32 for values in states.values()) and states["count"] == 20


def test_set_states(toy: treadle.Model) -> None:
    s, fresh = toy.session(), toy.session(poison=True)
    s.forward(IDS[:20])
    fresh.set_states(s.states())
    assert fresh.position == 20 and same_states(fresh, s)
    assert same(fresh.forward(IDS[20:30]), s.forward(IDS[20:30]))
    # One alone, of another type and order in memory.
    cell = np.asfortranarray(s.states()["cell"].astype(np.float64)) + 1
    s.set_states({"cell": cell})
    np.testing.assert_array_equal(s.states()["cell"], cell.astype(np.float32))
    s.set_states({})
    assert s.position == 30


def test_bad_states(toy: treadle.Model) -> None:
    s = toy.session()
    s.forward(IDS[:3])
    with refused(Status.INVALID_ARGUMENT, "expected states among ids, mask, keys, halves, cell, taps, count, got 'x'"):
        s.set_states({"x": 0})
    with refused(Status.INVALID_ARGUMENT, "state 'cell': expects 4 in dimension 2, got 5"):
        s.set_states({"cell": np.zeros((1, 2, 5))})
    with refused(Status.INVALID_ARGUMENT, "state 'cell': expected at most 8 dimensions, got 9"):
        s.set_states({"cell": np.zeros([1] * 9)})
    with refused(Status.INVALID_ARGUMENT, "state 'ids': value 1 is not one that it can hold"):
        s.set_states({"ids": [1, VOCAB, 2]})
    assert s.position == 3


def test_set_states_takes_a_mapping(toy: treadle.Model) -> None:
    with toy.session() as session, refused(Status.INVALID_ARGUMENT, "expected a mapping of state names"):
        session.set_states([1])  # type: ignore[arg-type]
