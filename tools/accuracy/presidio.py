"""Writes what Presidio finds in JSON lines {"text": …}, line for line, as {"text", "spans"}.

    presidio.py [--threshold 0] [--processes N] IN.jsonl OUT.jsonl

Presidio's default recognisers for English with the spaCy model MODEL (an installed package; default
en_core_web_sm), or with pattern recognisers only where MODEL is "none". CPU seconds go to standard error.
"""

import argparse
import json
import logging
import multiprocessing
import os
import resource
import sys

import spacy
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

analyzer = None


class Loaded(SpacyNlpEngine):
    """An engine whose model is here already, and never downloaded."""

    def __init__(self, model):
        super().__init__(ner_model_configuration=NerModelConfiguration())
        self.nlp = {"en": model}

    def load(self):
        pass


def start():
    global analyzer
    logging.disable(logging.WARNING)
    name = os.environ.get("MODEL", "en_core_web_sm")
    model = spacy.blank("en") if name == "none" else spacy.load(name)
    analyzer = AnalyzerEngine(nlp_engine=Loaded(model), supported_languages=["en"])


def analyze(job):
    line, threshold = job
    text = json.loads(line)["text"]
    # A span that lies within a surer one of the same place counts as one finding, as Presidio's anonymizer takes it.
    found = sorted(
        (r for r in analyzer.analyze(text, language="en", score_threshold=threshold)),
        key=lambda r: (-r.score, -(r.end - r.start), r.start, r.entity_type),
    )
    kept = []
    for r in found:
        if all(r.end <= k.start or r.start >= k.end for k in kept):
            kept.append(r)
    spans = [{"start": r.start, "end": r.end, "class": r.entity_type} for r in sorted(kept, key=lambda r: r.start)]
    return json.dumps({"text": text, "spans": spans}, ensure_ascii=False)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threshold", type=float, default=0)
    p.add_argument("--processes", type=int, default=1)
    p.add_argument("input")
    p.add_argument("output")
    a = p.parse_args()
    with open(a.input, encoding="utf-8") as f:
        jobs = [(line, a.threshold) for line in f if line.strip()]
    with multiprocessing.Pool(a.processes, start) as pool, open(a.output, "w", encoding="utf-8") as out:
        for line in pool.imap(analyze, jobs, chunksize=16):
            out.write(line + "\n")
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{a.input}: {len(jobs)} texts, {use.ru_utime + use.ru_stime:.1f} s CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
