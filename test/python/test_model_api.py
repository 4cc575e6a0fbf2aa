"""`treadle.load` and models, on the toy model of test/Runtime."""

import gc
import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treadle
from toy_model import CONTEXT, EOS, IDS, LOOPS, VOCAB, refused, same
from treadle import Status, TreadleError

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
