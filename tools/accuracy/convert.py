"""Writes public labelled sets as JSON lines {"text", "spans": [{"start", "end", "class"}]}.

    convert.py presidio-research|pii-anon CHECKOUT OUTDIR

Of pii-anon only the splits test_clinical and test_technology are read: the others are kept for
measuring what was developed on these. CHECKOUT is a work tree or a git directory.
"""

import gzip
import json
import pathlib
import subprocess
import sys


def content(checkout, path):
    file = pathlib.Path(checkout) / path
    if file.is_file():
        return file.read_bytes()
    return subprocess.run(["git", "-C", checkout, "show", "HEAD:" + path], check=True, capture_output=True).stdout


def presidio_research(checkout):
    rows = json.loads(content(checkout, "data/synth_dataset_v2.json"))
    yield "presidio-research", (
        (r["full_text"], [(s["start_position"], s["end_position"], s["entity_type"]) for s in r["spans"]]) for r in rows
    )


def pii_anon(checkout):
    for split in ("test_clinical", "test_technology"):
        packed = content(checkout, f"src/pii_anon_datasets/splits/{split}.jsonl.gz")
        rows = (json.loads(line) for line in gzip.decompress(packed).splitlines())
        yield f"pii-anon-{split}", (
            (r["text"], [(a["start"], a["end"], a["entity_type"]) for a in r["annotations"]]) for r in rows
        )


def main():
    sets = {"presidio-research": presidio_research, "pii-anon": pii_anon}
    if len(sys.argv) != 4 or sys.argv[1] not in sets:
        sys.exit(__doc__)
    for name, rows in sets[sys.argv[1]](sys.argv[2]):
        with open(pathlib.Path(sys.argv[3]) / (name + ".jsonl"), "w", encoding="utf-8") as out:
            for text, spans in rows:
                spans = [{"start": s, "end": e, "class": c} for s, e, c in spans]
                json.dump({"text": text, "spans": spans}, out, ensure_ascii=False)
                out.write("\n")


main()
