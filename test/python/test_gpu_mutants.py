"""What the driver of test/lib/FakeCuda finds in real kernels: models' own, with one place of one kernel made wrong.

A mutant is caught if the driver finds something, or if logits or states are not those of the right kernels. One that does nothing in
these runs that the kernel would not do is no mutant of theirs: a comparison that never stands at its border, say.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import treadle
from cases import FAMILIES
from fake_cuda import Compile, Driver, compile_case
from judge import F32_TOLERANCE, relative_error
from toy_model import same
from treadle import TreadleError


BEFORE = 19
"""Tokens in front of those that mutants run, so that each of 16 lanes has a key."""


class Mutant(NamedTuple):
    number: int
    fault: str
    kernel: str
    place: str


@dataclass
class Fault:
    tried: int
    """At most so many mutants of it."""
    caught: float = 1
    """At least this part of those that do something, as of today: it may only grow."""
    benign: str = ""
    """Which of them may live on, a pattern for `kernel: place`; and why."""
    reason: str = ""


FAULTS = {
    "barriers": Fault(20),
    "meeting": Fault(30),
    "barrier": Fault(
        30,
        0.6,
        "bar",
        "Each store stands between two, of which one mostly does: what lies between the next ones on the way is the"
        " lane's own, or ordered by others, as that all of them together are needed shows.",
    ),
    "trip": Fault(20),
    "index": Fault(
        150,
        0.95,
        r"attention.*: .*load (float|<4 x float>), ptr addrspace\(3\)",
        "What the spans before the first gave, alike for all heads: their maximum, their sum and values, which are 0, and"
        " the factors of these.",
    ),
    "bound": Fault(
        40,
        0.75,
        "icmp",
        "A tile more writes what it has written, a lane more what lies between two rows or activations, or is yet to"
        " come. All of them are of one piece of memory, of which the driver knows only where it ends.",
    ),
    "lane": Fault(
        30,
        0.5,
        "(attention|append|gated_delta_rule).*shfl",
        "Sums of many columns turn 16 x 16 numbers around, of which a head of a tiny model has fewer: the others hold"
        " anything, and nobody looks.",
    ),
}

# Of tensor cores, and what is copied for them.
TENSOR_FAULTS = {
    "wait": Fault(10),
    "copy": Fault(
        21, 0.8, "linear.*cp.async", "Behind the last block of K the last one is copied again, and nobody reads it."
    ),
    "product": Fault(24),
}


# The same by warp groups, with their fences and mbarriers.
GROUP_FAULTS = {
    "wait": Fault(20),
    "phase": Fault(10),
    "fence": Fault(20),
    "copy": Fault(24, 0.9, "linear.*cp.async.bulk", "A panel that is missing is a copy of the last one, whose sums nobody takes."),
    "product": Fault(20),
    "barrier": Fault(24, 0.75, "linear.*barrier", "In front of a block's only tile there is nothing to wait for."),
}


# Recurrences in chunks.
CHUNK_FAULTS = {name: Fault(30) for name in FAULTS if name != "lane"} | {
    "barrier": Fault(30, 0.6, "bar", "What is written before most of them is used behind a further one.")
}


class Models:
    """A model on the CPU and, with switches in its kernels, on the GPU."""

    def __init__(self, library: Path, driver: Driver, part: float, tokens: int = 7):
        self.driver = driver
        self.part = part
        self.cpu = treadle.load(library)
        driver.add_mutants()
        # Kernel by kernel: what is wrong with a step in one launch, test_grid_mutants.py looks at.
        driver.configure_grid(cooperative=False)
        self.cuda = treadle.load(library, device="cuda", cuda_driver=driver.path)
        mutants = [Mutant(number, *line) for number, line in enumerate(driver.mutants)]
        self.mutants = [mutant for mutant in mutants if not re.match(r"forward_|.*_block$", mutant.kernel)]
        random = np.random.default_rng(1)
        self.ids = random.integers(0, self.cpu.info["token_count"], BEFORE + tokens)
        mask = [np.arange(BEFORE) % 16 != 3, np.resize([1, 0, 1, 1, 1, 0], tokens - 1), [1]]
        self.mask = np.concatenate(mask).astype(np.uint8)
        with self.cpu.session() as session:
            session.forward(self.ids[:BEFORE], self.mask[:BEFORE], logits="none")
            self.start = session.save()
        self.expected = self.run(self.cuda)

    def run(self, model: treadle.Model) -> tuple[np.ndarray, np.ndarray, bytes]:
        """A whole chunk, a padded one, and a decode step, behind some tokens."""
        with model.session() as session:
            session.load(self.start)
            prefill = session.forward(self.ids[BEFORE:-1], self.mask[BEFORE:-1], logits="all")
            return prefill, session.forward(self.ids[-1:], self.mask[-1:]), session.save()

    def is_right(self) -> bool:
        try:
            found = self.run(self.cuda)
        except TreadleError as error:
            assert "CUDA_ERROR_LAUNCH_FAILED" in error.message
            self.driver.reset()
            return False
        return all(same(ours, theirs) for ours, theirs in zip(self.expected[:2], found[:2])) and (
            self.expected[2] == found[2]
        )

    def some(self, fault: str, count: int) -> list[Mutant]:
        """At most so many mutants of a fault, evenly."""
        mutants = [mutant for mutant in self.mutants if mutant.fault == fault]
        count = round(self.part * count)
        return [mutants[i * len(mutants) // count] for i in range(count)] if len(mutants) > count else mutants

    def close(self) -> None:
        self.cuda.close()
        self.cpu.close()


# One with attention and rotation, and one with recurrences, whose runs take longer; and which part of the mutants.
@pytest.fixture(scope="module", params=[("llama", 1), ("neollm", 0.25)], ids=lambda param: param[0])
def models(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    compile_library: Compile,
    driver_file: Path,
) -> Iterator[Models]:
    family, part = request.param
    case = FAMILIES[family].CASES[0]
    library = compile_case(compile_library, tmp_path_factory.mktemp("mutants"), case, rows=[1, 4])
    driver = Driver(driver_file)
    driver.reset()
    models = Models(library, driver, part)
    yield models
    models.close()
    driver.reset()


def test_right_kernels_are_right(models: Models) -> None:
    assert models.is_right()
    for ours, theirs in zip(models.run(models.cpu)[:2], models.expected):
        assert relative_error(theirs, ours) <= 2 * F32_TOLERANCE
    assert {mutant.fault for mutant in models.mutants} == set(FAULTS)


def create_tensor_models(
    folder: Path, compile_library: Compile, driver_file: Path, form: str, **config: int
) -> Iterator[Models]:
    """With tiles that warps share."""
    case = FAMILIES["llama"].CASES[0]
    case = replace(case, config=case.config | config)
    library = compile_case(compile_library, folder, case, rows=[1, 48], dtype="bf16", gpu=form)
    driver = Driver(driver_file)
    driver.reset()
    models = Models(library, driver, part=1, tokens=48)
    yield models
    models.close()
    driver.reset()


@pytest.fixture(scope="module")
def tensor_models(
    tmp_path_factory: pytest.TempPathFactory, compile_library: Compile, driver_file: Path
) -> Iterator[Models]:
    yield from create_tensor_models(tmp_path_factory.mktemp("mutants"), compile_library, driver_file, "emulated")


@pytest.fixture(scope="module")
def group_models(
    tmp_path_factory: pytest.TempPathFactory, compile_library: Compile, driver_file: Path
) -> Iterator[Models]:
    """K has more blocks than are there at once."""
    folder, wide = tmp_path_factory.mktemp("mutants"), {"hidden_size": 112, "intermediate_size": 160}
    yield from create_tensor_models(folder, compile_library, driver_file, "emulated_90a", **wide)


@pytest.fixture(scope="module")
def chunk_models(
    tmp_path_factory: pytest.TempPathFactory, compile_library: Compile, driver_file: Path
) -> Iterator[Models]:
    """One layer with a recurrence, over the border of a chunk, and of 16 rows of the next one."""
    case = FAMILIES["neollm"].CASES[0]
    linear = {"linear_num_key_heads": 1, "linear_num_value_heads": 1}
    linear |= {"linear_key_head_dim": 16, "linear_value_head_dim": 32}
    layers = {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"]}
    case = replace(case, config=case.config | linear | layers)
    options = {"rows": [1, 48], "recurrence_form": "chunked"}
    library = compile_case(compile_library, tmp_path_factory.mktemp("mutants"), case, **options)
    driver = Driver(driver_file)
    driver.reset()
    models = Models(library, driver, part=1, tokens=36)
    # The other one decodes, and turns lanes around.
    turning = {mutant.kernel for mutant in models.mutants if mutant.fault == "lane"}
    models.mutants = [
        mutant for mutant in models.mutants if mutant.kernel.startswith("gated_delta_rule") and mutant.kernel not in turning
    ]
    assert len({mutant.kernel for mutant in models.mutants}) == 1
    yield models
    models.close()
    driver.reset()


@pytest.mark.parametrize("name", FAULTS)
def test_wrong_kernels_are_caught(models: Models, name: str) -> None:
    catch(models, name, FAULTS[name])


@pytest.mark.parametrize("name", TENSOR_FAULTS)
def test_wrong_products_are_caught(tensor_models: Models, name: str) -> None:
    assert {mutant.fault for mutant in tensor_models.mutants} >= set(TENSOR_FAULTS)
    catch(tensor_models, name, TENSOR_FAULTS[name])


@pytest.mark.parametrize("name", CHUNK_FAULTS)
def test_wrong_recurrences_in_chunks_are_caught(chunk_models: Models, name: str) -> None:
    assert {mutant.fault for mutant in chunk_models.mutants} == set(CHUNK_FAULTS)
    catch(chunk_models, name, CHUNK_FAULTS[name])


@pytest.mark.parametrize("name", GROUP_FAULTS)
def test_wrong_products_of_warp_groups_are_caught(group_models: Models, name: str) -> None:
    kernels = {mutant.kernel for mutant in group_models.mutants if mutant.fault == "phase"}
    group_models.mutants = [mutant for mutant in group_models.mutants if mutant.kernel in kernels]
    catch(group_models, name, GROUP_FAULTS[name])


def catch(models: Models, name: str, fault: Fault) -> None:
    caught, alive = 0, []
    for mutant in models.some(name, fault.tried):
        with models.driver.mutant(mutant.number):
            if not models.is_right():
                caught += 1
            elif models.driver.mutant_mattered and not (name == "barriers" and mutant.kernel not in models.driver.crossed):
                alive.append(mutant)
    print(f"{name}: {caught} caught, {len(alive)} benign")
    for mutant in alive:
        assert fault.benign and re.search(fault.benign, f"{mutant.kernel}: {mutant.place}"), mutant
    assert caught >= fault.caught * (caught + len(alive)) and caught > 0


def test_no_launch_may_come_early(models: Models) -> None:
    """Before what its stream does first: its input is not there."""
    driver = models.driver

    def run(model: treadle.Model) -> np.ndarray:
        with model.session() as session:
            return session.forward(models.ids[:4], models.mask[:4], logits="last")

    driver.count()
    expected = run(models.cuda)
    kernels = [line[1] for line in driver.sectors if line[0] == "launch"]
    driver.count(False)
    for nth, kernel in enumerate(kernels, 1):
        driver.hurry(nth)
        try:
            # Angles follow from the position, which is an argument.
            assert not same(expected, run(models.cuda)) or kernel.startswith("rotary_table"), kernel
        except TreadleError as error:
            assert "before anything has written them" in error.message
        driver.reset()
