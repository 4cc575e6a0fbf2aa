"""`treadle.load`, models and sessions, on the toy model of test/Runtime."""

import gc
import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treadle
from numpy.typing import NDArray
from treadle import Status, TreadleError

VOCAB, CONTEXT, LOOPS, RING, EOS = 37, 64, 3, 3, [2, 5]
IDS = np.random.default_rng(0).integers(0, VOCAB, 50)


def refused(status: Status, text: str) -> Any:
    """`with refused(...)`: a TreadleError of that status whose message contains `text`."""
    return pytest.raises(TreadleError, check=lambda error: error.status == status and text in error.message)


def same(a: NDArray, b: NDArray) -> bool:
    """The same bits."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def same_states(a: treadle.Session, b: treadle.Session) -> bool:
    ours, others = a.states(), b.states()
    return ours.keys() == others.keys() and all(same(ours[name], others[name]) for name in ours)


#
# Loading
#


def test_info(toy: treadle.Model) -> None:
    info = toy.info
    assert info["name"] == info["family"] == "toy" and info["dtype"] == "f32" and info["parameters"] == 296
    assert info["vocab_size"] == VOCAB and info["context"] == CONTEXT and info["config_context"] == 512
    assert info["max_loops"] == LOOPS and info["config_loops"] == 2 and info["eos_ids"] == EOS and info["abi"] == 1
    assert [(e["kind"], e["rows"]) for e in info["entry_points"]] == [
        ("forward", 1),
        ("head", 1),
        ("forward", 4),
        ("forward", 16),
        ("head", 16),
    ]
    keys = next(state for state in info["states"] if state["name"] == "keys")
    assert keys["kind"] == "append" and keys["element"] == "f32" and keys["rows"] == CONTEXT
    assert keys["bytes"] == CONTEXT * keys["row_bytes"] == CONTEXT * 2 * LOOPS * 8 * 4
    assert {state["kind"] for state in info["states"]} == {"append", "fixed", "ring"}
    assert info["weights"] == {"mode": "embed", "bytes": VOCAB * 8 * 4}
    assert info["config_digest"].startswith("09") and len(info["library_id"]) == 64
    assert "toy.so" in repr(toy)


def test_bad_libraries(toys: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        treadle.load(tmp_path / "missing.so")
    with pytest.raises(IsADirectoryError):
        treadle.load(tmp_path)
    (tmp_path / "text.so").write_text("no library")
    with refused(Status.CORRUPT, f"{tmp_path}/text.so: expected a library for this machine"):
        treadle.load(tmp_path / "text.so")
    whole = (toys / "toy.so").read_bytes()
    for size in (16, 64, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.so").write_bytes(whole[:size])
        with refused(Status.CORRUPT, f"{tmp_path}/cut.so: expected a library for this machine"):
            treadle.load(tmp_path / "cut.so")
    with refused(Status.CORRUPT, "found no symbol other_treadle_model_query"):
        treadle.load(toys / "toy.so", prefix="other")
    with refused(Status.UNSUPPORTED, "different versions"):
        treadle.load(toys / "toy-format.so")


def test_prefix(toys: Path) -> None:
    with treadle.load(toys / "toy-prefix.so", prefix="one") as model:
        assert model.session().forward(IDS).shape == (VOCAB,)


def test_bad_arguments_of_load(toys: Path) -> None:
    with refused(Status.UNSUPPORTED, "'cuda'"):
        treadle.load(toys / "toy.so", device="cuda")
    with refused(Status.INVALID_ARGUMENT, "no cuda_driver"):
        treadle.load(toys / "toy.so", cuda_driver="libcuda.so")
    with refused(Status.INVALID_ARGUMENT, "threads: expected at least 1, got 0"):
        treadle.load(toys / "toy.so", threads=0)
    with pytest.raises(TypeError, match="threads: expected an integer"):
        treadle.load(toys / "toy.so", threads=1.5)  # type: ignore[arg-type]
    treadle.load(toys / "toy.so", threads=1, device="cpu").close()


def test_external_weights(toys: Path, tmp_path: Path) -> None:
    library = shutil.copy(toys / "toy-external.so", tmp_path / "m.so")
    with refused(Status.INVALID_ARGUMENT, "m.so: expects the path"):
        treadle.load(library)
    with refused(Status.IO, "no such file"):
        treadle.load(library, weights=tmp_path / "missing.weights")
    with refused(Status.MISMATCH, "other values"):
        treadle.load(library, weights=toys / "other.weights")
    with refused(Status.INVALID_ARGUMENT, "holds its own"):
        treadle.load(toys / "toy.so", weights=toys / "toy.weights")
    with treadle.load(library, weights=toys / "toy.weights") as model, treadle.load(toys / "toy.so") as embedded:
        model.verify()
        expected = embedded.session().forward(IDS)
        assert same(model.session().forward(IDS), expected)
    # Those beside the library are found.
    weights = tmp_path / "m.weights"
    shutil.copy(toys / "toy.weights", weights)
    with treadle.load(library) as model:
        assert same(model.session().forward(IDS), expected)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with treadle.load(library) as model, refused(Status.CORRUPT, "damaged"):
        model.verify()


def test_a_library_that_was_compiled_anew(toys: Path, tmp_path: Path) -> None:
    library = tmp_path / "m.so"

    def replace_by(name: str) -> None:
        shutil.copy(toys / name, tmp_path / "new")
        (tmp_path / "new").rename(library)

    replace_by("toy.so")
    older = treadle.load(library)
    replace_by("toy-append.so")
    with treadle.load(library) as newer:
        assert len(newer.info["states"]) < len(older.info["states"])
        assert newer.session().forward(IDS).any()
    assert older.session().forward(IDS).any()
    older.close()


def test_two_models(toy: treadle.Model, toys: Path) -> None:
    expected = toy.session().forward(IDS)
    with treadle.load(toys / "toy-append.so") as other, treadle.load(toys / "toy.so") as again:
        a, b, c = toy.session(), other.session(), again.session()
        for i in IDS[:-1]:
            a.forward([i], logits="none")
            b.forward([i], logits="none")
            c.forward([i], logits="none")
        last = [session.forward(IDS[-1:]) for session in (a, b, c)]
        assert same(last[0], expected) and same(last[2], expected) and not same(last[1], expected)
        with refused(Status.MISMATCH, ""):
            b.load(a.save())


def test_selftest(toy: treadle.Model, toys: Path) -> None:
    report = toy.selftest()
    assert report.golden_count == 0 and report.invariance_rows == 21 and report.invariance_loops == LOOPS
    with treadle.load(toys / "toy-golden.so") as model:
        assert model.selftest().golden_count == 1
    with treadle.load(toys / "toy-golden-wrong.so") as model, refused(Status.FAILED, "golden vector 0"):
        model.selftest()


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


#
# Generate and score
#


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


#
# Life
#


def test_after_close(toys: Path) -> None:
    model = treadle.load(toys / "toy.so")
    s, t = model.session(), model.session()
    text = t.generate([1], 5, stop=())
    next(text)
    s.close()
    s.close()
    assert s.closed and not t.closed
    with refused(Status.INVALID_ARGUMENT, "the session has been closed"):
        s.forward([1])
    model.close()
    model.close()
    assert model.closed and t.closed and "closed" in repr(model) + repr(t)
    with refused(Status.INVALID_ARGUMENT, "the session has been closed"):
        next(text)
    for call in (model.session, model.verify, model.selftest):
        with refused(Status.INVALID_ARGUMENT, "the model has been closed"):
            call()
    assert model.info["vocab_size"] == VOCAB


def test_a_session_keeps_its_model_open(toys: Path) -> None:
    s = treadle.load(toys / "toy.so").session()
    gc.collect()
    assert s.forward(IDS).any() and not s.model.closed


def test_cycles_are_collected(toys: Path) -> None:
    for _ in range(20):
        model = treadle.load(toys / "toy.so")
        cycle: list[Any] = [model.session(), model, model.session()]
        cycle.append(cycle)
    del model, cycle
    gc.collect()


def test_with_blocks(toys: Path) -> None:
    with treadle.load(toys / "toy.so") as model, model.session() as s:
        s.forward([1])
    assert s.closed and model.closed


def test_sessions_run_concurrently(toy: treadle.Model) -> None:
    sequences = [np.roll(IDS, shift) for shift in range(4)]
    expected = [toy.session(loops=3).forward(ids, logits="all") for ids in sequences]
    wrong: list[int] = []

    def run(number: int) -> None:
        for _ in range(20):
            s = toy.session(loops=3, poison=True)
            pieces = [s.forward(piece, logits="all") for piece in np.split(sequences[number], [1, 20])]
            if not same(np.concatenate(pieces), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_close_waits_for_other_threads(toys: Path) -> None:
    def run(model: treadle.Model, started: threading.Event, statuses: list[int]) -> None:
        try:
            s = model.session(loops=3)
            while True:
                s.forward(IDS)
                s.reset()
                started.set()
        except TreadleError as error:
            statuses.append(error.status)

    for _ in range(10):
        model, started, statuses = treadle.load(toys / "toy.so"), threading.Event(), list[int]()
        threads = [threading.Thread(target=run, args=(model, started, statuses)) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        model.close()
        for thread in threads:
            thread.join()
        assert statuses == [Status.INVALID_ARGUMENT] * 3


def test_the_exception() -> None:
    error = TreadleError(3, "the context is full")
    assert error.status is Status.FULL and str(error) == error.message == "the context is full"
    again = pickle.loads(pickle.dumps(error))
    assert again.status is Status.FULL and again.message == error.message
    assert TreadleError(99, "from a later library").status == 99


def test_set_states_takes_a_mapping(toy: treadle.Model) -> None:
    with toy.session() as session, refused(Status.INVALID_ARGUMENT, "expected a mapping of state names"):
        session.set_states([1])  # type: ignore[arg-type]
