"""Plain data as JSON and back: all that crosses between the tests and the candidate.

Exact types only. An instance of a subclass has methods of its own, and with them a say in what equals it.

    null, true, false, text       themselves; text with surrogates: ["str", [code points]]
    int, float                    numbers; beyond 63 bits ["int", "0x..."]; ["float", "nan" | "inf" | "-inf"]
    ["tuple", [value, ...]]       likewise list, set, frozenset
    ["dict", [[key, value], ...]] likewise OrderedDict, Counter
    ["ref", n]                    the n-th mutable object of the message, counted where each begins
    [name of a type, ...]         the others, see ENCODERS and DECODERS
"""

import collections
import datetime
import decimal
import fractions
import itertools
import json
import types

MOST_ITEMS = 10_000  # of an iterator
FACTORIES = {"int": int, "float": float, "str": str, "list": list, "dict": dict, "set": set, "tuple": tuple, "bool": bool}
FACTORY_NAMES = {factory: name for name, factory in FACTORIES.items()}
ITERATORS = {
    types.GeneratorType,
    map,
    filter,
    zip,
    enumerate,
    reversed,
    *(type(iter(empty)) for empty in ([], (), {}, set(), "", b"", range(0), {}.values(), {}.items())),
    *(type(iter(empty)) for empty in (range(1 << 70), bytearray(), collections.deque())),
    *(type(reversed(empty)) for empty in ([], {}, range(0), {}.values(), {}.items(), collections.deque())),
    *(kind for kind in vars(itertools).values() if isinstance(kind, type)),
}


class Uncrossable(Exception):
    """A value that is not plain data."""


class Malformed(Exception):
    """Text that encodes nothing."""


class Memory:
    """The mutable objects of a call, known on both sides by their number."""

    def __init__(self):
        self.objects = []
        self.numbers = {}

    def add(self, value):
        self.numbers[id(value)] = len(self.objects)
        self.objects.append(value)
        return value


def encode(value, memory):
    """What `json.dumps` is to write for `value`."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:  # two surrogates side by side would be read as one character
            return ["str", [ord(character) for character in value]]
        return value
    if kind is int:
        return value if -(1 << 63) < value < 1 << 63 else ["int", hex(value)]
    if kind is float:
        return value if value - value == 0.0 else ["float", repr(value)]
    if kind in CONTENTS:
        if id(value) in memory.numbers:
            return ["ref", memory.numbers[id(value)]]
        memory.add(value)
        return [kind.__name__, *encode_content(value, memory)]
    if kind in ENCODERS:
        return [kind.__name__, *ENCODERS[kind](value, memory)]
    if kind in ITERATORS:
        items = list(itertools.islice(value, MOST_ITEMS + 1))
        if len(items) > MOST_ITEMS:
            raise Uncrossable("an iterator of more than %d items" % MOST_ITEMS)
        return ["iterator", encode_all(items, memory)]
    raise Uncrossable("a value of type `%s`" % str(kind.__qualname__)[:100])


def encode_all(values, memory):
    return [encode(value, memory) for value in values]


def encode_pairs(pairs, memory):
    return [[encode(key, memory), encode(value, memory)] for key, value in pairs]


def encode_content(value, memory):
    """What a mutable object holds, without its name."""
    return CONTENTS[type(value)](value, memory)


def encode_factory(factory):
    if factory is None:
        return None
    if type(factory) is type and factory in FACTORY_NAMES:
        return FACTORY_NAMES[factory]
    raise Uncrossable("a defaultdict with a factory of its own")


CONTENTS = {
    list: lambda value, memory: [encode_all(value, memory)],
    dict: lambda value, memory: [encode_pairs(value.items(), memory)],
    set: lambda value, memory: [encode_all(value, memory)],
    bytearray: lambda value, memory: [value.hex()],
    collections.OrderedDict: lambda value, memory: [encode_pairs(value.items(), memory)],
    collections.Counter: lambda value, memory: [encode_pairs(value.items(), memory)],
    collections.deque: lambda value, memory: [encode_all(value, memory), value.maxlen],
    collections.defaultdict: lambda value, memory: [
        encode_pairs(value.items(), memory),
        encode_factory(value.default_factory),
    ],
}

ENCODERS = {
    tuple: lambda value, memory: [encode_all(value, memory)],
    frozenset: lambda value, memory: [encode_all(value, memory)],
    bytes: lambda value, memory: [value.hex()],
    complex: lambda value, memory: [encode(value.real, memory), encode(value.imag, memory)],
    range: lambda value, memory: encode_all((value.start, value.stop, value.step), memory),
    slice: lambda value, memory: encode_all((value.start, value.stop, value.step), memory),
    type({}.keys()): lambda value, memory: [encode_all(value, memory)],
    type({}.values()): lambda value, memory: [encode_all(value, memory)],
    type({}.items()): lambda value, memory: [encode_pairs(value, memory)],
    decimal.Decimal: lambda value, memory: [str(value)],
    fractions.Fraction: lambda value, memory: encode_all((value.numerator, value.denominator), memory),
    datetime.date: lambda value, memory: [value.year, value.month, value.day],
    datetime.time: lambda value, memory: clock(value) + [encode(value.tzinfo, memory), value.fold],
    datetime.datetime: lambda value, memory: [value.year, value.month, value.day]
    + clock(value)
    + [encode(value.tzinfo, memory), value.fold],
    datetime.timedelta: lambda value, memory: [value.days, value.seconds, value.microseconds],
    datetime.timezone: lambda value, memory: [encode(value.utcoffset(None), memory), value.tzname(None)],
}


def clock(value):
    return [value.hour, value.minute, value.second, value.microsecond]


def decode(data, memory):
    """The value that `data`, as `json.loads` read it, encodes; Malformed for anything else."""
    if data is None or type(data) in (bool, str, int, float):
        return data
    if type(data) is not list or not data or type(data[0]) is not str:
        raise Malformed
    name, *parts = data
    try:
        if name in EMPTY:
            value = memory.add(EMPTY[name](*parts[1:]))
            fill(value, parts[:1], memory)
            return value
        return DECODERS[name](memory, *parts)
    except (TypeError, ValueError, KeyError, IndexError, ArithmeticError):
        raise Malformed from None


def fill(value, parts, memory):
    """Makes `parts`, as `encode_content` wrote it, the content of a mutable object."""
    content = parts[0]
    kind = type(value)
    if kind is bytearray:
        value[:] = bytes.fromhex(content)
        return
    if kind in (list, set, collections.deque):
        items = decode_all(content, memory)
        value.clear()
        (value.update if kind is set else value.extend)(items)
    else:
        pairs = decode_pairs(content, memory)
        value.clear()
        for key, item in pairs:
            value[key] = item
    if kind is not collections.deque and len(value) != len(content):
        raise Malformed


def decode_all(data, memory):
    if type(data) is not list:
        raise Malformed
    return [decode(part, memory) for part in data]


def decode_pairs(data, memory):
    if type(data) is not list:
        raise Malformed
    return [(decode(key, memory), decode(value, memory)) for key, value in data]


def decode_exactly(kinds, data, memory):
    value = decode(data, memory)
    if type(value) not in kinds:
        raise Malformed
    return value


def decode_ref(memory, number):
    if type(number) is not int or number < 0:
        raise Malformed
    return memory.objects[number]


def decode_float(memory, text):
    return {"nan": float("nan"), "inf": float("inf"), "-inf": -float("inf")}[text]


def decode_frozenset(memory, items):
    value = frozenset(decode_all(items, memory))
    if len(value) != len(items):
        raise Malformed
    return value


def decode_time(kind, memory, *parts):
    *numbers, zone, fold = parts
    return kind(*numbers, decode_exactly((type(None), datetime.timezone), zone, memory), fold=fold)


def decode_zone(memory, offset, name):
    offset = decode_exactly((datetime.timedelta,), offset, memory)
    zone = datetime.timezone(offset)
    return zone if zone.tzname(None) == name else datetime.timezone(offset, name)


def decode_complex(memory, real, imaginary):
    return complex(decode_exactly((float,), real, memory), decode_exactly((float,), imaginary, memory))


# Kinds of mutable objects as they are before they are filled; a cycle may lead back to one meanwhile.
EMPTY = {
    "list": lambda: [],
    "dict": lambda: {},
    "set": lambda: set(),
    "bytearray": lambda: bytearray(),
    "OrderedDict": lambda: collections.OrderedDict(),
    "Counter": lambda: collections.Counter(),
    "deque": lambda maxlen: collections.deque((), maxlen),
    "defaultdict": lambda factory: collections.defaultdict(None if factory is None else FACTORIES[factory]),
}

DECODERS = {
    "ref": decode_ref,
    "str": lambda memory, points: "".join(map(chr, points)),
    "int": lambda memory, text: int(text, 16),
    "float": decode_float,
    "tuple": lambda memory, items: tuple(decode_all(items, memory)),
    "frozenset": decode_frozenset,
    "bytes": lambda memory, text: bytes.fromhex(text),
    "complex": decode_complex,
    "range": lambda memory, *parts: range(*decode_all(list(parts), memory)),
    "slice": lambda memory, *parts: slice(*decode_all(list(parts), memory)),
    "dict_keys": lambda memory, items: dict.fromkeys(decode_all(items, memory)).keys(),
    "dict_values": lambda memory, items: dict(enumerate(decode_all(items, memory))).values(),
    "dict_items": lambda memory, pairs: dict(decode_pairs(pairs, memory)).items(),
    "iterator": lambda memory, items: iter(decode_all(items, memory)),
    "Decimal": lambda memory, text: decimal.Decimal(text),
    "Fraction": lambda memory, *parts: fractions.Fraction(*(decode_exactly((int,), part, memory) for part in parts)),
    "date": lambda memory, *parts: datetime.date(*parts),
    "time": lambda memory, *parts: decode_time(datetime.time, memory, *parts),
    "datetime": lambda memory, *parts: decode_time(datetime.datetime, memory, *parts),
    "timedelta": lambda memory, *parts: datetime.timedelta(*parts),
    "timezone": decode_zone,
}
