"""Schedules of every family that are wrong in one place: the verifier refuses them, and the fake driver finds why.

Schedules that it does not refuse give the right bits, so that it refuses none that is right without need.
"""

import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import treadle
from cases import FAMILIES
from compiled_case import DTYPES
from fake_cuda import Compile, Driver, compile_case
from toy_model import same
from treadle import TreadleError

GRID_KERNEL = "forward_1"
# Whether a block goes on too early hangs on who comes first.
TRIES = 4


class Mutant(NamedTuple):
    name: str
    fault: str
    refused: str
    """What the verifier says; empty: nothing."""


class Schedules:
    """A model's decode step with mutants beside it."""

    def __init__(self, folder: Path, compile_library: Compile, driver: Driver, programs: Path, family: str, dtype: str):
        case = FAMILIES[family].CASES[0]
        library = compile_case(compile_library, folder, case, rows=[1], dtype=dtype, dump_phases=folder / "phases")
        code = folder / "mutants.ll"
        printed = subprocess.run(
            [
                programs / "treadle-opt",
                folder / "phases/kernels.gpu.mlir",
                f"--test-treadle-mutate-grid-kernels=file={code}",
                "-o",
                "/dev/null",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.mutants = [Mutant(*line.split("\t")) for line in printed.splitlines()]
        self.driver = driver
        driver.reset()
        # Two blocks, so that most stages have some for each.
        driver.configure_grid(multiprocessors=2)
        driver.replace_code(code.read_bytes())
        self.model = treadle.load(library, device="cuda", cuda_driver=driver.path)
        self.loops = self.model.info["max_loops"]
        self.ids = np.random.default_rng(3).integers(0, self.model.info["token_count"], 2)
        self.expected = self.run()

    def run(self) -> tuple[np.ndarray, bytes]:
        with self.model.session(loops=self.loops) as session:
            return session.forward(self.ids), session.save()

    def fails(self, mutant: Mutant) -> bool:
        """In one of some orders of its threads."""
        return any(self.fails_once(mutant) for _ in range(TRIES if mutant.refused else 1))

    def fails_once(self, mutant: Mutant) -> bool:
        self.driver.replace_kernel(GRID_KERNEL, mutant.name)
        try:
            logits, saved = self.run()
        except TreadleError:
            self.driver.reset()
            return True
        return not same(logits, self.expected[0]) or saved != self.expected[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_schedules(
    family: str,
    dtype: str,
    tmp_path: Path,
    compile_library: Compile,
    driver: Driver,
    request: pytest.FixtureRequest,
) -> None:
    programs = request.config.getoption("--treadle-build").resolve() / "bin"
    schedules = Schedules(tmp_path, compile_library, driver, programs, family, dtype)
    with schedules.model:
        wrong = []
        for mutant in schedules.mutants:
            if schedules.fails(mutant) != bool(mutant.refused):
                wrong.append(mutant)
        refused = Counter(mutant.fault for mutant in schedules.mutants if mutant.refused)
        print(f"{sum(refused.values())} of {len(schedules.mutants)} refused, {len(refused)} kinds")
        assert not wrong
        assert len(refused) >= 15 and {mutant.fault for mutant in schedules.mutants} - set(refused) == {"a barrier more"}
