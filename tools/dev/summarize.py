#!/usr/bin/env python3
"""Sums JUnit reports: `summarize.py DIR [BROKEN_STEP...]` prints `N passed, N failed[, N skipped]`."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(reports: Path, broken: list[str]) -> int:
    passed, failures, skipped = 0, [f"the step '{step}' broke" for step in broken], 0
    for report in sorted(reports.glob("*.xml")):
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = {child.tag for child in case}
            if kinds & {"failure", "error"}:
                failures.append(f"{report.stem}: {case.get('classname')} {case.get('name')}")
            elif "skipped" in kinds:
                skipped += 1
            else:
                passed += 1
    for failure in failures:
        print("FAILED", failure)
    print(f"{passed} passed, {len(failures)} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failures or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
