"""Compiled libraries against the reference, and against themselves however a sequence is run.

Every case of every family (see cases), in f32 and bf16. Logits are judged as judge.py says; each error is
reported with its tolerance at the end of the run (see conftest.py).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treadle
from cases import CASES, FAMILIES
from compiled_case import DTYPES, Compiled, Source, run
from judge import BF16_TOLERANCE, relative_error, typical_error
from numpy.typing import NDArray
from treadle.reference.tensor_spec import parameter_count

Report = Callable[[str, float, float], None]


#
# Libraries, each compiled once
#


ALL_CASES = [*CASES, *(case for family in FAMILIES.values() for case in family.FURTHER)]
PAIRS = {f"{case.name}-{dtype}": (case, dtype) for case in ALL_CASES for dtype in DTYPES}


@pytest.fixture(scope="module")
def libraries(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    compile_library: Callable[..., None],
) -> Iterator[Callable[[str], Compiled]]:
    """Compiles what the selected tests ask for, two at a time, while they already run."""

    sources: dict[str, Source] = {}

    def start(name: str) -> Future[Compiled]:
        case, dtype = PAIRS[name]
        if case.name not in sources:
            sources[case.name] = Source(case, *case.write(tmp_path_factory.mktemp(case.name)))
        source = sources[case.name]
        compiled = Compiled(source, dtype, source.config.with_name(f"{dtype}.so"))

        def run() -> Compiled:
            compile_library(
                compiled.source.config, weights=compiled.source.weights, out=compiled.library, dtype=compiled.dtype
            )
            return compiled

        return pool.submit(run)

    items = (item for item in request.session.items if item.path == request.path)
    asked = dict.fromkeys(item.callspec.params.get("compiled") for item in items if hasattr(item, "callspec"))
    with ThreadPoolExecutor(2) as pool:
        jobs = {name: start(name) for name in asked if name}

        def get(name: str) -> Compiled:
            if name not in jobs:
                jobs[name] = start(name)
            return jobs[name].result()

        yield get
        for job in jobs.values():
            job.cancel()


@pytest.fixture
def compiled(request: pytest.FixtureRequest, libraries: Callable[[str], Compiled]) -> Compiled:
    return libraries(request.param)


each = pytest.mark.parametrize("compiled", PAIRS, indirect=True)
ENDLESS = [name for name, (case, _) in PAIRS.items() if case.is_endless]
bounded = pytest.mark.parametrize("compiled", [name for name in PAIRS if name not in ENDLESS], indirect=True)
endless = pytest.mark.parametrize("compiled", ENDLESS, indirect=True)
# One of each family, in each dtype.
SOME = [f"{family.TYPICAL.name}-{dtype}" for family in FAMILIES.values() for dtype in DTYPES]
some = pytest.mark.parametrize("compiled", SOME, indirect=True)


#
# Ways to run a sequence
#


def ragged(count: int, seed: int) -> list[int]:
    """Pieces around the row counts of entry points that sum to `count`."""
    generator, pieces = np.random.default_rng(seed), list[int]()
    while sum(pieces) < count:
        pieces.append(min(int(generator.choice([1, 2, 7, 15, 16, 17, 33, 127, 129])), count - sum(pieces)))
    return pieces


def same(a: NDArray, b: NDArray) -> bool:
    """The same bits."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def includes(found: Any, given: Any) -> bool:
    """Whether all that a config gives is found; objects in it may have further members."""
    if isinstance(given, dict):
        return isinstance(found, dict) and all(key in found and includes(found[key], given[key]) for key in given)
    if isinstance(given, list):
        return isinstance(found, list) and len(found) == len(given) and all(map(includes, found, given))
    return bool(found == given)


def same_states(a: treadle.Session, b: treadle.Session) -> bool:
    ours, others = a.states(), b.states()
    return ours.keys() == others.keys() and all(same(ours[name], others[name]) for name in ours)


#
# Numbers
#


@each
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_logits_are_those_of_the_reference(compiled: Compiled, masked: bool, report_error: Report) -> None:
    case = compiled.case
    for loops in compiled.all_loops if not masked else [compiled.loops]:
        expected, tolerance = compiled.expected(loops, masked)
        found = compiled.session(loops).forward(case.ids, case.mask if masked else None, logits="all")
        name = f"{compiled.dtype} {case.name} loops {loops}{' masked' if masked else ''}"
        report_error(name, relative_error(found, expected), tolerance)


@pytest.mark.parametrize("compiled", [name for name in PAIRS if name.endswith("bf16")], indirect=True)
def test_bf16_rounds_what_the_reference_rounds(compiled: Compiled, report_error: Report) -> None:
    windows = compiled.case.short_windows
    reference = compiled.case.reference(compiled.source.weights, np.float64, "bf16")
    expected = compiled.case.logits(reference, windows, loops=compiled.loops)
    found = np.stack([compiled.session().forward(ids, logits="all") for ids in windows])
    report_error(f"bf16, typical, {compiled.case.name}", typical_error(found, expected), BF16_TOLERANCE)


@bounded
def test_the_last_position_of_the_context(compiled: Compiled, report_error: Report) -> None:
    """Row counts do not divide the context: padding reaches beyond it."""
    case, context = compiled.case, compiled.model.info["context"]
    assert context == case.context
    ids = np.resize(case.ids, context)
    s, t = compiled.session(), compiled.session()
    whole = s.forward(ids, logits="all")
    assert same(run(t, ids, None, [context - 3, 2, 1]), whole) and same_states(s, t)
    with pytest.raises(treadle.TreadleError, match="the context is full"):
        s.forward([0])
    reference = case.reference(compiled.source.weights, np.float64, compiled.dtype)
    _, tolerance = compiled.expected(compiled.loops, False)
    error = relative_error(whole, case.logits(reference, ids, loops=compiled.loops))
    report_error(f"{compiled.dtype} {case.name} whole context", error, tolerance)


@bounded
def test_recompute_is_a_fresh_window(compiled: Compiled, report_error: Report) -> None:
    context, count = 24, 28
    s = compiled.session(context=context, on_full="recompute")
    found = s.forward(compiled.case.ids[:count], logits="all")
    assert s.position == context and s.forgotten == count - context
    for end in range(context + 1, count + 1):
        window = compiled.case.ids[end - context : end]
        assert same(compiled.session().forward(window), found[end - 1])
    expected, tolerance = compiled.expected(compiled.loops, False, count - context, count)
    error = relative_error(found[-1], expected[-1])
    report_error(f"{compiled.dtype} {compiled.case.name} recompute", error, tolerance)


#
# The same bits
#


@each
def test_every_chunking_gives_the_same_bits(compiled: Compiled) -> None:
    case = compiled.case
    for loops in compiled.all_loops:
        for mask in (None, case.mask) if loops == compiled.loops else (None,):
            whole = compiled.session(loops)
            expected = whole.forward(case.ids, mask, logits="all")
            assert np.isfinite(expected[:, : case.config["vocab_size"]]).all()
            for pieces in ([1] * len(case.ids), ragged(len(case.ids), loops), ragged(len(case.ids), 10 + loops)):
                s = compiled.session(loops)
                assert same(run(s, case.ids, mask, pieces), expected), (loops, pieces)
                assert same_states(s, whole), (loops, pieces)


@each
def test_prefill_runs_the_large_entry_points(compiled: Compiled) -> None:
    count = len(compiled.case.ids)
    s = compiled.session()
    s.forward(compiled.case.ids)
    calls = s.entry_calls
    forward = {rows: number for (kind, rows), number in calls.items() if kind == "forward"}
    assert set(forward) == {1, 16, 128, 256}
    pieces = compiled.periods(count)
    large = sum(rows * number for rows, number in forward.items() if rows >= 128)
    assert large >= sum(piece // 128 * 128 for piece in pieces) and forward[1] <= len(pieces)
    assert any(piece >= 256 for piece in pieces) == bool(forward[256])
    assert sum(forward.values()) <= sum(piece // 128 + 8 for piece in pieces)
    assert calls["head", 1] == 1
    turns = sum(number for (kind, _), number in calls.items() if kind in ("open", "close"))
    assert sum(calls.values()) == sum(forward.values()) + 1 + turns


@each
def test_going_back_gives_the_same_bits(compiled: Compiled) -> None:
    ids, mask = compiled.case.ids[:50], compiled.case.mask[:50]
    through = compiled.session()
    expected = through.forward(ids, mask, logits="all")[20:]

    def rest(session: treadle.Session, position: int = 20) -> bool:
        assert session.position == position
        return same(session.forward(ids[20:], mask[20:], logits="all"), expected) and same_states(session, through)

    s = compiled.session()
    s.forward(ids[:20], mask[:20])
    mark, blob, fork, states = s.checkpoint(), s.save(), s.fork(), s.states()
    s.forward((ids[:30] + 1) % compiled.case.config["vocab_size"])
    assert rest(fork)
    # Rows of the mark stand until a further period begins.
    if s.position - s.since_turn <= 20:
        s.rollback(mark)
        assert rest(s)
    else:
        with pytest.raises(treadle.TreadleError, match="its period has given way to another"):
            s.rollback(mark)
    written = [state for state in s.model.info["states"] if state["kind"] != "append" and not state["by_turn"]]
    if not written and s.position - s.since_turn <= 20:
        s.truncate(20)
        assert rest(s)
    else:
        with pytest.raises(treadle.TreadleError, match="checkpoint"):
            s.truncate(20)
    fresh = compiled.session()
    fresh.load(blob)
    assert rest(fresh)
    # States do not tell how many tokens came before the last turn.
    fresh = compiled.session()
    fresh.set_states(states)
    assert rest(fresh, compiled.periods(20)[-1])
    s.reset()
    s.forward(ids[:20], mask[:20], logits="none")
    assert rest(s)


@each
def test_the_library_checks_itself(compiled: Compiled) -> None:
    compiled.model.verify()
    report = compiled.model.selftest()
    assert report.golden_count == 0 and report.invariance_loops == compiled.model.info["max_loops"]


RECURRENT = [family.RECURRENT for family in FAMILIES.values() if hasattr(family, "RECURRENT")]


@pytest.mark.parametrize("compiled", [f"{case.name}-{dtype}" for case in RECURRENT for dtype in DTYPES], indirect=True)
def test_masked_tokens_enter_no_state(compiled: Compiled) -> None:
    """Nor does padding, or `test_every_chunking_gives_the_same_bits` would fail."""
    ids, mask = compiled.case.ids, compiled.case.mask
    other = np.where(mask, ids, (ids + 1) % compiled.case.config["vocab_size"])
    s, t = compiled.session(), compiled.session()
    expected, found = s.forward(ids, mask, logits="all"), t.forward(other, mask, logits="all")
    assert same(found[mask], expected[mask]) and not same(found, expected)
    kinds = {state["name"]: state["kind"] for state in compiled.model.info["states"]}
    ours, others = s.states(), t.states()
    kept = [name for name in ours if kinds[name] != "append"]
    assert kept and all(same(ours[name], others[name]) for name in kept)


@pytest.mark.parametrize("compiled", [f"{case.name}-f32" for case in RECURRENT], indirect=True)
def test_recurrences_in_chunks(
    compiled: Compiled, compile_library: Callable[..., None], tmp_path: Path, report_error: Report
) -> None:
    """The bits depend on the cut; the numbers do not."""
    case, out = compiled.case, tmp_path / "chunked.so"
    compile_library(compiled.source.config, weights=compiled.source.weights, out=out, recurrence_form="chunked")
    expected, tolerance = compiled.expected(compiled.loops, True)
    with treadle.load(out) as model:
        count = len(case.ids)
        for pieces in ([count], [1] * count, ragged(count, 1), ragged(count, 2)):
            session = model.session(loops=compiled.loops, poison=True)
            error = relative_error(run(session, case.ids, case.mask, pieces), expected)
            report_error(f"f32 {case.name} in chunks, {len(pieces)} pieces", error, tolerance)
        # As model.h says.
        with pytest.raises(treadle.TreadleError, match="logits of token . differ"):
            model.selftest()
        whole = model.session(loops=compiled.loops).forward(case.ids, case.mask, logits="all")
        assert not same(whole, compiled.session().forward(case.ids, case.mask, logits="all"))


#
# Periods
#


@endless
def test_no_row_is_run_twice(compiled: Compiled) -> None:
    """Token by token, each token is one call, and a turn comes just before the first token of the next period."""
    ids, period = compiled.case.ids[:60], compiled.model.info["period"]
    s = compiled.session()
    for position, token in enumerate(ids):
        s.forward([token], logits="none")
        calls = {kind: sum(n for (k, _), n in s.entry_calls.items() if k == kind) for kind in ("forward", "open", "close")}
        assert calls == {"forward": position + 1, "open": position // period + 1, "close": position // period}
        assert s.since_turn == position % period + 1


@endless
def test_turns_are_lazy(compiled: Compiled) -> None:
    """A full period is closed by the next token, by `turn`, or before a session is stored."""
    ids, period = compiled.case.ids, compiled.model.info["period"]

    def closed(session: treadle.Session) -> int:
        return sum(number for (kind, _), number in session.entry_calls.items() if kind == "close")

    s, t, u = (compiled.session() for _ in range(3))
    for session in (s, t, u):
        session.forward(np.resize(ids, period), logits="none")
        assert closed(session) == 0 and session.since_turn == period
    t.turn()
    t.turn()
    assert closed(t) == 1 and t.since_turn == 0 and t.position == period
    small = u.save()
    assert closed(u) == 1 and len(small) < 1000 + sum(
        state["bytes"] for state in u.model.info["states"] if state["kind"] != "append"
    ) + 64 * sum(state["row_bytes"] for state in u.model.info["states"])
    expected = s.forward(ids[:1])
    assert same(t.forward(ids[:1]), expected) and same(u.forward(ids[:1]), expected)


@endless
def test_memory_is_constant(compiled: Compiled) -> None:
    """Whatever the length: what a session stores depends on its place in the period alone."""
    ids, period = compiled.case.ids, compiled.model.info["period"]
    s = compiled.session()
    sizes = []
    for _ in range(3):
        s.forward(np.resize(ids, period), logits="none")
        sizes.append((len(s.save()), len(s.checkpoint())))
    assert len(set(sizes)) == 1 and s.position == 3 * period


@endless
def test_an_early_turn_is_a_short_period(compiled: Compiled) -> None:
    """A mark taken at a turn stands for ever, and tokens before it cannot be cut off."""
    ids, period = compiled.case.ids, compiled.model.info["period"]
    s = compiled.session()
    s.forward(ids[:5], logits="none")
    s.turn()
    mark, blob = s.checkpoint(), s.save()
    expected = s.forward(ids[5:15], logits="all")
    s.forward(np.resize(ids, 2 * period), logits="none")
    s.rollback(mark)
    assert s.position == 5 and same(s.forward(ids[5:15], logits="all"), expected)
    fresh = compiled.session()
    fresh.load(blob)
    assert same(run(fresh, ids[5:15], None, [3, 1, 6]), expected)
    with pytest.raises(treadle.TreadleError, match="checkpoint"):
        s.truncate(3)
    if period > 10:
        s.truncate(8)
        assert same(s.forward(ids[8:15], logits="all"), expected[3:])
    s.truncate(0)
    assert same(s.forward(ids[:1]), compiled.session().forward(ids[:1]))


#
# One or two libraries
#


@each
def test_info(compiled: Compiled) -> None:
    info, config, family = compiled.model.info, compiled.case.config, FAMILIES[compiled.case.family]
    c = compiled.case.reference(compiled.source.weights).config
    assert info["parameters"] == parameter_count(c.tensors())
    assert info["family"] == compiled.case.family and info["dtype"] == compiled.dtype and info["abi"] == 1
    assert info["vocab_size"] == compiled.case.vocabulary and info["hidden_size"] == compiled.case.width
    assert includes(info["config"], config)
    assert info["weights"]["mode"] == "embed" and info["targets"]
    # The id and mask of each token are states of the session.
    appended = [state for state in info["states"] if state["kind"] == "append"]
    expected = family.row_bytes(c, {"f32": 4, "bf16": 2}[compiled.dtype], info["max_loops"]) + 4 + 1
    assert sum(state["row_bytes"] for state in appended) == expected
    assert all(0 <= state["rows"] - state["lead"] - compiled.window < compiled.window + 64 for state in appended)
    assert compiled.case.is_endless == (info["context"] == 0) == (info["period"] > 0)


@some
def test_greedy_follows_the_reference(compiled: Compiled) -> None:
    reference = compiled.case.reference(compiled.source.weights, np.float64, compiled.dtype)
    _, tolerance = compiled.expected(compiled.loops, False)
    text = compiled.case.ids[:8].tolist()
    for token in compiled.session().generate(text, 40, stop=()):
        logits = compiled.case.logits(reference, np.array(text), loops=compiled.loops)[-1]
        second, first = np.sort(logits)[-2:]
        if first - second > 2 * tolerance * np.abs(logits).max():
            assert token == logits.argmax()
        text.append(token)
    assert len(text) == 48


@some
def test_a_seed_settles_the_text(compiled: Compiled) -> None:
    def text(seed: int) -> list[int]:
        return list(compiled.session().generate(compiled.case.ids[:8], 40, 1.0, 20, 0.95, seed, stop=()))

    assert text(1) == text(1) and len({tuple(text(seed)) for seed in range(4)}) == 4


@some
def test_score_is_that_of_the_reference(compiled: Compiled, report_error: Report) -> None:
    ids = compiled.case.ids
    logits, tolerance = compiled.expected(compiled.loops, False)
    logits = logits[:-1, : compiled.case.config["vocab_size"]]
    expected = (logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))[np.arange(len(logits)), ids[1:]]
    found = treadle.score(compiled.model, ids, loops=compiled.loops)
    # A log-probability moves by at most twice what the logits do.
    error = float(np.abs(found - expected).max() / np.abs(logits).max())
    report_error(f"{compiled.dtype} {compiled.case.name} score", error, 2 * tolerance)


def test_models_in_one_process(libraries: Callable[[str], Compiled]) -> None:
    """Token by token in turns."""
    models = [libraries(name) for name in SOME]
    expected = [c.session().forward(c.case.ids[:40], logits="all") for c in models]
    sessions = [c.session() for c in models]
    for i in range(40):
        for c, session, logits in zip(models, sessions, expected):
            assert same(session.forward(c.case.ids[i : i + 1]), logits[i])
    with pytest.raises(treadle.TreadleError):
        sessions[0].load(sessions[-1].save())


@some
def test_symbol_prefix(compiled: Compiled, compile_library: Callable[..., None], tmp_path: Path) -> None:
    out = tmp_path / "m.so"
    compile_library(
        compiled.source.config,
        weights=compiled.source.weights,
        out=out,
        dtype=compiled.dtype,
        symbol_prefix="second",
    )
    with pytest.raises(treadle.TreadleError, match="no symbol treadle_model_query"):
        treadle.load(out)
    ids = compiled.case.ids
    with treadle.load(out, prefix="second") as model:
        assert same(model.session(loops=compiled.loops).forward(ids), compiled.session().forward(ids))


@some
def test_external_weights(compiled: Compiled, compile_library: Callable[..., None], tmp_path: Path) -> None:
    out = tmp_path / "m.so"
    compile_library(
        compiled.source.config,
        weights=compiled.source.weights,
        out=out,
        dtype=compiled.dtype,
        weights_mode="external",
    )
    ids = compiled.case.ids
    expected = compiled.session().forward(ids)
    for weights in (None, tmp_path / "m.weights"):
        with treadle.load(out, weights) as model:
            model.verify()
            assert model.info["weights"]["mode"] == "external"
            assert same(model.session(loops=compiled.loops).forward(ids), expected)
