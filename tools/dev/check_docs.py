#!/usr/bin/env python3
"""Keeps the commands and programs in the documentation true.

    check_docs.py                    every command in README.md and docs/ names a program and options that exist,
                                     every link leads to a file, and every quotation is in its file
    check_docs.py PAGE...            the same for these pages
    check_docs.py --run PAGE         runs the ```console blocks of a page and compares what they print
    check_docs.py --update PAGE      runs them and writes what they print into the page
    check_docs.py --extract LANG PAGE   prints the first ```LANG block of a page

In a ```console block `$ command` is followed by its output; a line `...` there stands for any lines, and in lines that
give a speed, a time or a size in bytes numbers need not be equal. Blocks marked ```sh hold commands that are too long to run here.

A block ```LANG FILE quotes lines of a file; a line `...` there stands for any lines.
"""

import argparse
import difflib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
BLOCK = re.compile(r"^```[^\n]*\n.*?^```$", re.M | re.S)
QUOTATION = re.compile(r"^```\S+ (\S+)\n(.*?)^```$", re.M | re.S)
# What is measured differs from run to run.
MEASURED = re.compile(r"tokens/s|B/s|\b(ms|s|kB|MB|GB)\b|%")
TOOL = re.compile(r"build/release/bin/(treadle-[a-z]+)")


@dataclass
class Command:
    """One command of a page, with the output that the page shows."""

    text: str
    output: list[str] = field(default_factory=list)


def commands(block: str) -> list[Command]:
    """The commands of a block; `\\` at the end of a line continues it."""
    found: list[Command] = []
    for line in re.sub(r"\\\n\s*", "", block).rstrip("\n").split("\n"):
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif found:
            found[-1].output.append(line)
    return found


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(page.read_text()) if language in languages]


#===--- Commands and links exist --------------------------------------------===#


def help_of(tool: str) -> str:
    program = Path(os.environ.get("TREADLE_BUILD", ROOT / "build/release")) / "bin" / tool
    if not program.exists():
        return ""
    done = subprocess.run([program, "--help"], capture_output=True, text=True)
    return done.stdout + done.stderr


def check_page(page: Path) -> list[str]:
    problems = []
    for block in blocks(page, "console", "sh"):
        for command in commands(re.sub(r"^(?!\$ |  )", "$ ", block, flags=re.M) if "$ " not in block else block):
            words = re.split(r"[#|>]", command.text)[0].split()
            program = next((word for word in words if "=" not in word), "")
            tool = TOOL.fullmatch(program)
            if tool:
                known = help_of(tool[1])
                if not known:
                    problems.append(f"{page}: no program {program}")
                options = re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", " " + " ".join(words[1:]))
                problems += [f"{page}: {tool[1]} has no option {option}" for option in options if option not in known]
            elif "/" in program and not program.startswith(("build/", "./")) and not (ROOT / program).exists():
                problems.append(f"{page}: no such command: {program}")
    prose = re.sub(r"^    .*$|`[^`\n]*`", "", BLOCK.sub("", page.read_text()), flags=re.M)
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
        if not (page.parent / target).exists():
            problems.append(f"{page}: link to a missing file: {target}")
    for source, body in QUOTATION.findall(page.read_text()):
        file = ROOT / source
        if not file.exists():
            problems.append(f"{page}: quotes a missing file: {source}")
        elif not quotes(body, file.read_text()):
            problems.append(f"{page}: {source} does not say:\n{body}")
    return problems


def quotes(body: str, text: str) -> bool:
    """Whether the lines stand in the text, those between two `...` in one piece and the pieces in order."""
    place = 0
    for piece in re.split(r"^\.\.\.\n", body, flags=re.M):
        place = ("\n" + text).find("\n" + piece, place)
        if place < 0:
            return False
        place += len(piece)
    return True


#===--- Output is what the page shows ---------------------------------------===#


def run(command: str) -> list[str]:
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"$ {command}\n{done.stdout}exit code {done.returncode}")
    return done.stdout.rstrip("\n").splitlines()


def same(shown: list[str], printed: list[str]) -> bool:
    """Whether the lines agree, measured numbers and the width of gaps apart; `...` stands for any lines."""

    def pattern(line: str) -> str:
        words = [re.escape(word) for word in line.split()]
        if MEASURED.search(line):
            number = r"[0-9][0-9.,]*"
            words = [number.join(map(re.escape, re.split(number, word))) for word in line.split()]
        return r"\s*" + r"\s+".join(words) + r"\s*\n"

    wanted = "".join(r"(?:.*\n)*?" if line.strip() == "..." else pattern(line) for line in shown)
    return re.fullmatch(wanted, "".join(line + "\n" for line in printed)) is not None


def run_page(page: Path) -> list[str]:
    problems = []
    for block in blocks(page, "console"):
        for command in commands(block):
            printed = run(command.text)
            if not same(command.output, printed):
                changes = "\n".join(difflib.unified_diff(command.output, printed, "shown", "printed", lineterm=""))
                problems.append(f"{page}: $ {command.text}\n{changes}")
    return problems


def update_page(page: Path) -> None:
    """Keeps commands as they are written; output that still agrees is kept too, so that `...` stays."""

    def renew(match: re.Match[str]) -> str:
        language, body = match.groups()
        if language != "console":
            return match[0]
        out, parts = [], re.split(r"^(?=\$ )", body, flags=re.M)
        for part in filter(None, parts):
            command = commands(part)[0]
            printed = run(command.text)
            written = re.match(r"\$ (?:.*\\\n)*.*\n", part)[0]
            keep = "..." in command.output and same(command.output, printed)
            out.append(written + "".join(line + "\n" for line in (command.output if keep else printed)))
        return "```console\n" + "".join(out) + "```"

    page.write_text(FENCE.sub(renew, page.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="*", metavar="PAGE")
    parser.add_argument("--run", type=Path, metavar="PAGE")
    parser.add_argument("--update", type=Path, metavar="PAGE")
    parser.add_argument("--extract", nargs=2, metavar=("LANG", "PAGE"))
    arguments = parser.parse_args()

    if arguments.extract:
        language, page = arguments.extract
        print(blocks(Path(page), language)[0], end="")
        return 0
    if arguments.update:
        update_page(arguments.update)
        return 0
    if arguments.run:
        problems = run_page(arguments.run)
    else:
        documentation = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
        pages = arguments.pages or documentation
        problems = [problem for page in pages for problem in check_page(page)]
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
