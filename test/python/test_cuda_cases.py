"""Cases of every family on a GPU: the driver of test/lib/FakeCuda runs their kernels, and finds nothing.

What one case of a family shows in full (test_cuda.py) many show once: they differ in widths, heads, loops, windows and
activations. Every third one runs, in f32 and bf16 in turn; all of them in both with --treadle-every-case, for a quarter of an
hour.
"""

from pathlib import Path

import numpy as np
import pytest
import treadle
from cases import FAMILIES, Case
from compiled_case import DTYPES, Compiled, Source, run
from fake_cuda import Compile, Driver
from judge import relative_error
from numpy.typing import NDArray
from test_cuda import EMULATED, Report
from toy_model import same, same_states
from treadle.reference import Storage

# Whole tiles, ragged ones and steps. What is done again begins in mid panel, and in the last period that is open.
FIRST, LAST = [5, 1, 11], [2, 1]
BEFORE, COUNT = sum(FIRST), sum(FIRST + LAST)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    every = metafunc.config.getoption("--treadle-every-case")
    runs = [
        (case, dtype)
        for family in FAMILIES.values()
        for number, case in enumerate(family.CASES if every else family.CASES[::3])
        for dtype in (DTYPES if every else [DTYPES[number % 2]])
    ]
    metafunc.parametrize(("case", "dtype"), runs, ids=[f"{case.name}-{dtype}" for case, dtype in runs])


def test_case(
    case: Case, dtype: Storage, tmp_path: Path, compile_library: Compile, driver: Driver, report_error: Report
) -> None:
    """Logits in pieces are those of the reference, and of a session that goes back, is forked, saved or given states."""
    compiled = Compiled(Source(case, *case.write(tmp_path)), dtype, tmp_path / "m.so")
    options = EMULATED | {"dtype": dtype, "rows": [1, 8]}
    compile_library(compiled.source.config, weights=compiled.source.weights, out=compiled.library, **options)
    expected, tolerance = compiled.expected(compiled.loops, True, 0, COUNT)
    ids, mask = case.ids[:COUNT], case.mask[:COUNT]
    with treadle.load(compiled.library, device="cuda", cuda_driver=driver.path) as model:
        session, other = (model.session(loops=compiled.loops, poison=True) for _ in range(2))

        def rest(of: treadle.Session) -> NDArray:
            return run(of, ids[BEFORE:], mask[BEFORE:], LAST)

        first = run(session, ids[:BEFORE], mask[:BEFORE], FIRST)
        mark, fork = session.checkpoint(), session.fork()
        other.load(session.save())
        last = rest(session)
        error = relative_error(np.concatenate([first, last]), expected)
        report_error(f"{dtype} {case.name} on a GPU", error, tolerance)
        assert same(last, rest(fork)) and same(last, rest(other)) and same_states(other, session)
        session.rollback(mark)
        other.set_states(session.states())
        assert same(last, rest(session)) and same(last, rest(other)) and same_states(other, fork)
