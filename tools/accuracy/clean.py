"""Counts what assent scan --json --reveal finds in text that should hold little, and judges it.

    clean.py count SUMMARY [--sample N FILE.tsv]   findings on standard input, by class; SUMMARY has the scan's summary
    clean.py judged FILE.tsv                       the shares of a sample whose first column says t or f

The sample has N findings of each class, drawn with a fixed seed; the first column is for whoever judges: t
where what stands there is a value of that class, whoever it belongs to, f where it only looks like one.
"""

import collections
import json
import math
import random
import re
import sys

UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def plain(text):
    return "".join(c if c.isprintable() else " " for c in text)


def around(path, start, end):
    """What stands around a finding, where the file is no archive."""
    try:
        with open(path, "rb") as f:
            f.seek(max(0, start - 50))
            before = f.read(start - f.tell()).decode(errors="replace")
            f.seek(end)
            return plain(before), plain(f.read(30).decode(errors="replace"))
    except OSError:
        return "", ""


def count(summary, n, out):
    rng = random.Random(1)
    classes = collections.defaultdict(lambda: {"n": 0, "values": set(), "sample": []})
    for line in sys.stdin:
        f = json.loads(line)
        if "class" not in f:
            continue
        c = classes[f["class"]]
        c["n"] += 1
        c["values"].add(f["value"])
        if len(c["sample"]) < n:
            c["sample"].append(f)
        elif n and rng.randrange(c["n"]) < n:
            c["sample"][rng.randrange(n)] = f
    found = re.search(r"findings? in .*?, ([\d.]+) ([kMGT]?B)", open(summary, encoding="utf-8").read())
    if not found:
        sys.exit("the scan told no summary: " + summary)
    size = float(found[1]) * UNITS[found[2]] / 1e6
    print(f"{size:.0f} MB")
    print(f"{'class':28}{'findings':>10}{'a MB':>10}{'values':>10}")
    for name, c in sorted(classes.items(), key=lambda x: -x[1]["n"]):
        print(f"{name:28}{c['n']:>10}{c['n'] / size:>10.3f}{len(c['values']):>10}")
    if not out:
        return
    with open(out, "w", encoding="utf-8") as f:
        for name, c in sorted(classes.items()):
            for s in c["sample"]:
                before, after = around(s["file"], s["start"], s["end"])
                place = f"{s['file']}:{s['line']}"
                print("?", name, c["n"], f"{size:.3f}", place, f"{before}«{plain(s['value'])[:200]}»{after}", sep="\t", file=f)


def judged(path):
    classes = collections.defaultdict(lambda: [0, 0, 0, 0.0])
    for i, line in enumerate(open(path, encoding="utf-8"), 1):
        verdict, name, n, size = line.split("\t")[:4]
        if verdict not in ("t", "f"):
            sys.exit(f"{path}:{i}: the first column wants t or f")
        c = classes[name]
        c[0] += 1
        c[1] += verdict == "f"
        c[2], c[3] = int(n), float(size)
    print(f"{'class':28}{'findings':>10}{'judged':>8}{'false':>7}{'false a MB':>12}{'95 % at most':>14}")
    total, most = 0.0, 0.0
    for name, (k, wrong, n, size) in sorted(classes.items(), key=lambda x: -x[1][1] / x[1][0] * x[1][2]):
        share = wrong / k
        # Wilson's upper bound; where all findings were judged there is nothing to guess.
        z = 1.96
        upper = share if k == n else (share + z * z / (2 * k) + z * math.sqrt(share * (1 - share) / k + z * z / (4 * k * k))) / (1 + z * z / k)
        print(f"{name:28}{n:>10}{k:>8}{wrong:>7}{share * n / size:>12.4f}{upper * n / size:>14.4f}")
        total, most = total + share * n / size, most + upper * n / size
    print(f"{'all':28}{'':>25}{total:>12.4f}{most:>14.4f}")


def main():
    if sys.argv[1:2] == ["count"] and len(sys.argv) == 3:
        count(sys.argv[2], 0, None)
    elif sys.argv[1:2] == ["count"] and len(sys.argv) == 6 and sys.argv[3] == "--sample":
        count(sys.argv[2], int(sys.argv[4]), sys.argv[5])
    elif sys.argv[1:2] == ["judged"] and len(sys.argv) == 3:
        judged(sys.argv[2])
    else:
        sys.exit(__doc__)


main()
