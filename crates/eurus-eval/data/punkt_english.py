"""Writes punkt-english.txt from the file src/data/english.json of the crate punkt 1.0.5.

    python3 punkt_english.py english.json > punkt-english.txt

Words that were never seen in lower case are left out: every rule treats them as it treats unknown words.
"""

import json
import sys

LOWER_CASE = 16 | 32 | 64  # at the beginning of a sentence, inside, in an unknown place

with open(sys.argv[1], encoding="utf-8") as file:
    model = json.load(file)

print("[abbreviations]", *sorted(model["abbrev_types"]), sep="\n")
print("[collocations]", *sorted(" ".join(pair) for pair in model["collocations"]), sep="\n")
print("[sentence starters]", *sorted(model["sentence_starters"]), sep="\n")
print("[orthographic contexts]")
for word, contexts in sorted(model["ortho_context"].items()):
    if contexts & LOWER_CASE:
        print(word, contexts)
