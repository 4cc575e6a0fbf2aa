"""The seven task kinds of MiniAxion: prompts, thought steps and answers.

A problem is written `prompt<THINK><STEP>...</THINK><ANS>...</ANS>`. The steps spell out
the work one digit column at a time, units first, and every number in them is filled up
with zeros: each step is then a small table look-up of digits that stand at fixed
distances, which a model of this size can learn.

No evaluation prompt shares its operands with training. Every problem names the *facts*
it rests on, such as "+ 47 85"; a hash of the text holds out one fact in ten. A problem
that rests on any held-out fact, in its prompt or in its steps, is for evaluation only.
"""

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import words

HOLD_OUT_ONE_IN = 10


@dataclass(frozen=True)
class Problem:
    """One exercise; `facts` are the operand tuples that decide where it may be used."""

    task: str
    prompt: str
    steps: tuple[str, ...]
    answer: str
    facts: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Whether the problem is for evaluation (True) or for training (False)."""
        return any(is_held_out(fact) for fact in self.facts)

    @property
    def completion(self) -> str:
        """What the model has to write after the prompt, without the end token."""
        steps = "".join(f"<STEP>{step}" for step in self.steps)
        return f"<THINK>{steps}</THINK><ANS>{self.answer}</ANS>"


def is_held_out(fact: str) -> bool:
    digest = hashlib.blake2s(fact.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HOLD_OUT_ONE_IN == 0


# ---- Sums in columns -----------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """A sum worked out: its value, the steps that show it, the fact it rests on."""

    value: int
    steps: tuple[str, ...]
    facts: tuple[str, ...]


def calculate(operator: str, a: int, b: int) -> Work:
    """Work out `a operator b`: the expression is stated, then its columns follow.

    Two one-digit operands make no fact: they are the tables that every column uses.
    """
    value, columns = COLUMNS[operator](a, b)
    if operator == "*":
        stated = f"{a:02}*{b}"
    else:
        width = width_of(a, b)
        stated = f"{a:0{width}}{operator}{b:0{width}}"
    operands = (a, b) if operator == "-" else sorted((a, b))
    facts = (f"{operator} {operands[0]} {operands[1]}",) if max(a, b) > 9 else ()
    return Work(value, (stated, *columns), facts)


def width_of(*numbers: int) -> int:
    """Digits to fill numbers up to: at least two."""
    return max(2, *(len(str(number)) for number in numbers))


def digits_of(a: int, b: int) -> list[tuple[int, int]]:
    """Digit pairs of two numbers, units first; the shorter is filled up with zeros."""
    pairs, places = [], width_of(a, b)
    for place in range(places):
        pairs.append((a // 10**place % 10, b // 10**place % 10))
    return pairs


def add_columns(a: int, b: int) -> tuple[int, list[str]]:
    """`47+85`: `7+5=12`, then `4+8+1=13` with the carry, which is always written."""
    columns, carry = [], 0
    for place, (x, y) in enumerate(digits_of(a, b)):
        total = x + y + carry
        carried = f"+{carry}" if place else ""
        columns.append(f"{x}+{y}{carried}={total:02}")
        carry = total // 10
    return a + b, columns


def subtract_columns(a: int, b: int) -> tuple[int, list[str]]:
    """`83-27`: `13-7=6` after borrowing, then `08-2-1=5`. Needs a >= b."""
    columns, borrow = [], 0
    for place, (x, y) in enumerate(digits_of(a, b)):
        borrowed = f"-{borrow}" if place else ""
        lent = 10 if x < y + borrow else 0
        columns.append(f"{x + lent:02}-{y}{borrowed}={x + lent - y - borrow}")
        borrow = lent // 10
    return a - b, columns


def multiply_columns(a: int, b: int) -> tuple[int, list[str]]:
    """`47*6`: `7*6=42`, `4*6=24`, `24+4=28`. Needs a < 100 and b < 10."""
    tens, units = divmod(a, 10)
    low, high, carry = units * b, tens * b, units * b // 10
    return a * b, [
        f"{units}*{b}={low:02}",
        f"{tens}*{b}={high:02}",
        f"{high:02}+{carry}={high + carry:02}",
    ]


COLUMNS: dict[str, Callable[[int, int], tuple[int, list[str]]]] = {
    "+": add_columns,
    "-": subtract_columns,
    "*": multiply_columns,
}


# ---- The tasks -----------------------------------------------------------------------


def operands(rng: random.Random, operator: str) -> tuple[int, int]:
    """+ and - on 0 to 99 with a difference >= 0; * on 2 to 99 by 2 to 9."""
    if operator == "*":
        return rng.randint(2, 99), rng.randint(2, 9)
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    return (max(a, b), min(a, b)) if operator == "-" else (a, b)


def arithmetic(rng: random.Random) -> Problem:
    """`47+85=`"""
    operator = rng.choice("+-*")
    a, b = operands(rng, operator)
    work = calculate(operator, a, b)
    prompt = f"{a}{operator}{b}="
    return Problem("arithmetic", prompt, work.steps, str(work.value), work.facts)


def two_step(rng: random.Random) -> Problem:
    """`47+85-18=` on 10 to 99, or `7*6+35=` on 2 to 9; no value below 0."""
    while True:
        first_op, second_op = rng.choice("++--*"), rng.choice("+-")
        low, high = (2, 9) if first_op == "*" else (10, 99)
        a, b, c = rng.randint(low, high), rng.randint(low, high), rng.randint(10, 99)
        if first_op == "-" and a < b:
            continue
        first = calculate(first_op, a, b)
        if second_op == "-" and first.value < c:
            continue
        second = calculate(second_op, first.value, c)
        return Problem(
            "two-step arithmetic",
            f"{a}{first_op}{b}{second_op}{c}=",
            first.steps + second.steps,
            str(second.value),
            first.facts + second.facts,
        )


def even_odd(rng: random.Random) -> Problem:
    """`Is 347 even or odd?` on 0 to 9999."""
    number = rng.randint(0, 10 ** rng.randint(2, 4) - 1)
    kind = "odd" if number % 2 else "even"
    steps = (f"{number % 10} is {kind}",)
    return Problem(
        "even/odd", f"Is {number} even or odd?", steps, kind, (f"even {number}",)
    )


def number_up_to_3_digits(rng: random.Random) -> int:
    """0 to 999, with one-, two- and three-digit numbers as 1 : 4 : 5."""
    low, high = rng.choices(((0, 9), (10, 99), (100, 999)), (1, 4, 5))[0]
    return rng.randint(low, high)


def listed(numbers: list[int]) -> str:
    return " ".join(f"{number:02}" for number in numbers)


def sign(a: int, b: int) -> str:
    return "<" if a < b else ">" if a > b else "="


def comparison(rng: random.Random) -> Problem:
    """`Compare 347 and 352.` on 0 to 999; columns from the left decide.

    Half the pairs share leading digits, or the first column would decide nearly all.
    """
    a, b = number_up_to_3_digits(rng), number_up_to_3_digits(rng)
    if rng.random() < 0.5:
        keep = 10 ** rng.randint(0, 2)
        b = a // keep * keep + rng.randrange(keep)
    if rng.random() < 0.5:
        a, b = b, a
    steps = [f"{a:03} {b:03}"]
    for x, y in ((a // place % 10, b // place % 10) for place in (100, 10, 1)):
        steps.append(f"{x}{sign(x, y)}{y}")
        if x != y:
            break
    low, high = sorted((a, b))
    facts = (f"compare {low} {high}",)
    prompt = f"Compare {a} and {b}."
    return Problem("comparison", prompt, tuple(steps), sign(a, b), facts)


def pattern(rng: random.Random) -> Problem:
    """`Next: 3 7 11 15` is a progression two times in three, else a repeating cycle."""
    return progression(rng) if rng.random() < 2 / 3 else cycle(rng)


def progression(rng: random.Random) -> Problem:
    """4 terms from 0 to 60 on, rising or falling by 1 to 12; no term below 0."""
    difference = rng.randint(1, 12)
    start, operator = rng.randint(0, 60), rng.choice("+-")
    if operator == "-":
        start = max(start, 4 * difference)
    stride = difference if operator == "+" else -difference
    terms = [start + i * stride for i in range(4)]
    gap = calculate("-", max(terms[:2]), min(terms[:2]))
    last = calculate(operator, terms[3], gap.value)
    prompt = "Next: " + " ".join(map(str, terms))
    facts = gap.facts + last.facts
    return Problem("pattern", prompt, gap.steps + last.steps, str(last.value), facts)


def cycle(rng: random.Random) -> Problem:
    """2 or 3 numbers of 0 to 99 that repeat, 4 to 6 terms; the step states them."""
    period = rng.sample(range(100), rng.randint(2, 3))
    shown = rng.randint(len(period) + 2, 6)
    terms = [period[i % len(period)] for i in range(shown + 1)]
    prompt = "Next: " + " ".join(map(str, terms[:-1]))
    steps = (listed(period),)
    facts = ("cycle " + " ".join(map(str, sorted(period))),)
    return Problem("pattern", prompt, steps, str(terms[-1]), facts)


def word_problem(rng: random.Random) -> Problem:
    """A short story about one sum: + and - on 2 to 99, * on 10 to 99 by 2 to 9."""
    operator, template = words.template(rng)
    while True:
        a = rng.randint(10 if operator == "*" else 2, 99)
        b = rng.randint(2, 9 if operator == "*" else 99)
        if operator != "-" or a > b:
            break
    work = calculate(operator, a, b)
    prompt = words.fill(template, a, b, rng)
    return Problem("word problem", prompt, work.steps, str(work.value), work.facts)


def sorting(rng: random.Random) -> Problem:
    """`Sort 42 7 88` on 3 to 5 different numbers of 0 to 99.

    Each step takes the least of what is left: `07|42 88`, then `42|88`.
    """
    left = rng.sample(range(100), rng.randint(3, 5))
    ordered = sorted(left)
    prompt = "Sort " + " ".join(map(str, left))
    steps = []
    for least in ordered[:-1]:
        left.remove(least)
        steps.append(f"{least:02}|{listed(left)}")
    answer = " ".join(map(str, ordered))
    return Problem("sorting", prompt, tuple(steps), answer, (f"sort {answer}",))


# Generator of each task, and its share of the training examples.
TASKS: dict[str, tuple[Callable[[random.Random], Problem], float]] = {
    "arithmetic": (arithmetic, 0.20),
    "two-step arithmetic": (two_step, 0.20),
    "even/odd": (even_odd, 0.04),
    "comparison": (comparison, 0.10),
    "pattern": (pattern, 0.16),
    "word problem": (word_problem, 0.14),
    "sorting": (sorting, 0.16),
}


def sum_of_two_digits(rng: random.Random) -> Problem:
    """`47+85=` with two digits each: all that must be copied is equally far away."""
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    work = calculate("+", a, b)
    return Problem("arithmetic", f"{a}+{b}=", work.steps, str(work.value), work.facts)


def training_problems(seed: int, warm_up: int = 0) -> Iterator[Problem]:
    """Endless training examples, tasks mixed by their shares.

    During the first `warm_up` examples the mixture replaces sums of two digits little
    by little: on the mixture alone, copying takes long to be discovered.
    """
    rng = random.Random(f"train {seed}")
    generators, shares = zip(*TASKS.values(), strict=True)
    for index in itertools.count():
        if index < warm_up and rng.random() > index / warm_up:
            problem = sum_of_two_digits(rng)
        else:
            problem = rng.choices(generators, shares)[0](rng)
        if not problem.held_out:
            yield problem


def evaluation_problems(task: str, count: int, seed: int = 0) -> list[Problem]:
    """`count` different held-out prompts of one task; equal for equal arguments."""
    rng = random.Random(f"evaluate {task} {seed}")
    generate, _ = TASKS[task]
    chosen: dict[str, Problem] = {}
    while len(chosen) < count:
        problem = generate(rng)
        if problem.held_out:
            chosen.setdefault(problem.prompt, problem)
    return list(chosen.values())
