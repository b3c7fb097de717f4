"""Evaluates the text of an answer and writes what it is as JSON."""

import json


def plain(value):
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, complex):
        return value.real
    return float(value)


def evaluated(text, names):
    value = eval(text, names)
    if isinstance(value, (set, tuple)):
        value = list(value)
        value[0]  # nothing in it: an error
    return [plain(item) for item in value] if isinstance(value, list) else plain(value)
