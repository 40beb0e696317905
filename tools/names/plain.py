#!/usr/bin/env python3
"""Writes text in which nothing is to be found: documentation and source code of Go modules.

    plain.py OUT DIR...

From each module it takes Markdown files and source, so many of each, without the lines that may name
somebody.
"""
import hashlib
import pathlib
import re
import sys

people = re.compile(r"copyright|author|maintain|thank|credit|contribut|signed|reviewe|@|licen[sc]e|\bet al\b|\bby [A-Z]|github\.com/\w+\)|TODO\(|\bMr\b|\bDr\b|"
                    r"\b(John|Jane|Alice|Bob|Joe|James|David|Smith|Doe|Fred|Mary|Michael|Knuth|Paris|London|Berlin|Tokyo|York|California|Germany|France|China|India|Japan)\b", re.I)
out, per = pathlib.Path(sys.argv[1]), 900_000
out.mkdir(parents=True, exist_ok=True)
for d in map(pathlib.Path, sys.argv[2:]):
    files = sorted(f for f in d.rglob("*") if f.suffix in (".md", ".go", ".s", ".c", ".h", ".js", ".ts", ".css", ".html", ".proto", ".py", ".txt", ".yaml", ".yml", ".toml", ".json", ".sh", ".wat") and f.is_file()
                   and "zz_generated" not in f.name and "testdata" not in f.parts and "vendor" not in f.parts)
    step = max(1, len(files) // 500)
    text = []
    size = 0
    for f in sorted((f for s in sorted({f.suffix for f in files}) for f in [g for g in files if g.suffix == s][:: max(1, step // 4 if s not in (".go", ".json") else step)]),
                    key=lambda f: hashlib.sha256(f.name.encode()).digest()):
        t = "\n".join(x for x in f.read_text(errors="ignore")[:20_000].split("\n") if not people.search(x) and len(x) < 400)
        text.append(t)
        size += len(t)
        if size > per:
            break
    (out / (d.name.replace("@", "-") + ".txt")).write_text("\n\n".join(text)[:per])
