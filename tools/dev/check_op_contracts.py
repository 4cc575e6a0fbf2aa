#!/usr/bin/env python3
"""Checks that what the dialect states is enforced and tested.

For every op, type and attribute of the dialect:
* the description opens with what it computes, and gives an `Example`;
* an op states its constraints, numbered `(C1)`, `(C2)`, ... without a gap;
* each constraint is labelled where it is enforced: `// rms_norm_c3` in lib/, or `/*glu_c1*/` at a trait
  in the .td;
* each constraint has a negative test, a function or symbol named `@rms_norm_c3` (or `@rms_norm_c3_...`)
  in test/Dialect/;
* an op that computes something is compiled alone and compared with the reference, in test/python/ops/;
* and no label or test speaks of a constraint that is not stated.

Types and attributes are labelled `weight_type_c1`, `access_attr_c1`.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEFINITIONS = "include/treadle/Dialect/Treadle/IR/TreadleOps.td"
# Declarations, references and control flow: they compute nothing of their own.
STRUCTURE = {
    "barrier",
    "get_state",
    "get_weight",
    "grid_arrive",
    "grid_wait",
    "loop",
    "stage",
    "state",
    "weight",
    "yield",
}
# Made by passes of ops that compute the same, in whose tests they run.
KERNEL = {"multiply_panels"}
LABEL = r"[a-z0-9]+(?:_[a-z0-9]+)*?_c[0-9]+"


def records(root: Path) -> dict[str, Any]:
    """All TableGen records, as llvm-tblgen sees them."""
    prefix = subprocess.run(["llvm-config", "--includedir"], check=True, capture_output=True, text=True).stdout.strip()
    command = ["llvm-tblgen", "--dump-json", "-I", root / "include", "-I", prefix, root / DEFINITIONS]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def nouns(defs: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Label stem, description and whether it is an op, of everything that can state constraints."""
    kinds = defs["!instanceof"]
    for name in kinds["Op"]:
        if defs[name]["opDialect"]["def"] == "Treadle_Dialect":
            yield defs[name]["opName"], defs[name]["description"], True
    enums = set(kinds.get("EnumAttr", []))
    for kind, suffix in (("TypeDef", "type"), ("AttrDef", "attr")):
        for name in kinds[kind]:
            if name not in enums:
                yield f"{defs[name]['mnemonic']}_{suffix}", defs[name]["description"], False


def labels_in(text: str, comment: str) -> set[str]:
    """Labels in the comments of a text; `comment` matches one comment with its content as group 1."""
    return {label for found in re.findall(comment, text) for label in re.findall(rf"\b({LABEL})\b", found)}


def read_all(root: Path, folder: str, suffixes: set[str]) -> str:
    return "\n".join(path.read_text() for path in sorted((root / folder).rglob("*")) if path.suffix in suffixes)


def check(root: Path) -> tuple[list[str], int]:
    """What is missing, and how many constraints were looked at."""
    enforced = labels_in(read_all(root, "lib/Dialect/Treadle/IR", {".cpp"}), r"//(.*)")
    enforced |= labels_in(read_all(root, "include", {".td"}), r"/\*(.*?)\*/")
    tests = set(re.findall(rf"@({LABEL})(?:_[a-z_]+)?\b", read_all(root, "test/Dialect", {".mlir"})))

    compiled = set(re.findall(r"\btreadle\.([a-z0-9_]+)", read_all(root, "test/python/ops", {".py"})))

    problems: list[str] = []
    ops: set[str] = set()
    stated: set[str] = set()
    for stem, description, is_op in nouns(records(root)):
        description = (description or "").strip()
        if is_op:
            ops.add(stem)
            if stem not in STRUCTURE | KERNEL | compiled:
                problems.append(f"{stem}: no test in test/python/ops compiles it")
        opening = re.split(r"Constraints:|Example:", description)[0].strip()
        if not opening and is_op:
            problems.append(f"{stem}: the description does not say what the op computes")
        if "Example:" not in description and not re.search(r"^Example", description, re.MULTILINE):
            problems.append(f"{stem}: the description has no Example")
        numbers = [int(number) for number in re.findall(r"^\s*\* \(C(\d+)\)", description, re.MULTILINE)]
        if is_op and not numbers:
            problems.append(f"{stem}: the description has no Constraints")
        if numbers != list(range(1, len(numbers) + 1)):
            problems.append(f"{stem}: expected constraints (C1) to (C{len(numbers)}), got {numbers}")
        stated |= {f"{stem}_c{number}" for number in numbers}

    problems += [f"{name}: STRUCTURE or KERNEL names it, but there is no such op" for name in sorted((STRUCTURE | KERNEL) - ops)]
    for label in sorted(stated):
        if label not in enforced:
            problems.append(f"{label}: no check carries this label, in lib/Dialect/Treadle/IR or at a trait in a .td")
        if label not in tests:
            problems.append(f"{label}: no negative test @{label} in test/Dialect/")
    problems += [f"{label}: a check carries this label, but no such constraint is stated" for label in sorted(enforced - stated)]
    problems += [f"@{label}: a test has this name, but no such constraint is stated" for label in sorted(tests - stated)]
    return problems, len(stated)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2], help="the source tree")
    problems, count = check(parser.parse_args().root)
    for problem in problems:
        print(problem)
    print(f"{count} constraints, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
