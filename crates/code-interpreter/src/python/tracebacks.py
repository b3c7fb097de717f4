"""Tracebacks laid out as IPython 8 lays them out without colours, without the machine's paths.

Only the names `show_error` and `brief` are used elsewhere.
"""

import ast
import itertools
import linecache
import os
import sys
import textwrap
import traceback

WIDTH = 75
# Statements of context before and after, of the exception itself and of those that led to it.
CONTEXT, CONTEXT_OF_CAUSE = (2, 2), (1, 1)
# Of a statement that is context, such as a long literal.
MOST_LINES = 6
# A longer file is shown by lines, not by statements.
LONGEST_SOURCE = 10_000
LONGEST_FINAL_LINES = 10_000
CAUSED = "The above exception was the direct cause of the following exception"
DURING = "During handling of the above exception, another exception occurred"
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def brief(value, longest):
    """`str(value)` cut to `longest` characters; never raises."""
    try:
        text = str(value)
    except BaseException:
        text = "<unprintable %s>" % type(value).__name__
    return text if len(text) <= longest else text[:longest] + "..."


def show_error(error, own_globals, write, has_head=True, final=True):
    """Writes the chain of exceptions that ends in `error`, oldest first.

    Without `has_head` there is no rule and no "Traceback" above the frames. Without `final` the last exception shows where
    it was raised and not what it was.
    """
    chain, seen = [], set()
    while error is not None and id(error) not in seen and len(chain) < 4:
        seen.add(id(error))
        chain.append(error)
        if error.__cause__ is not None:
            error = error.__cause__
        elif not error.__suppress_context__:
            error = error.__context__
        else:
            error = None
    for position, error in enumerate(reversed(chain)):
        is_last = position + 1 == len(chain)
        frames = _frames(error, own_globals)
        if position:
            write("\n%s:\n\n" % (CAUSED if error.__cause__ is not None else DURING))
        elif frames and final and has_head:
            write("-" * WIDTH + "\n")
        if frames and has_head and (final or not is_last):
            name = brief(type(error).__name__, 1000)
            write(name + "Traceback (most recent call last)".rjust(WIDTH - len(name)) + "\n")
        context = CONTEXT if is_last else CONTEXT_OF_CAUSE
        for shown in _unlike(frames):
            write(shown if isinstance(shown, str) else _frame(*shown, context))
        if final or not is_last:
            _show_final(error, write)


def _frames(error, own_globals):
    """Frames and lines of the code; those of this file and of the worker are told by their globals, as their file name,
    `<string>`, is also that of anything the user passes to `exec`."""
    frames = [
        (frame, line or 1)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals is not own_globals
    ]
    if isinstance(error, SyntaxError) and not any(_is_cell(frame.f_code.co_filename) for frame, _ in frames):
        return []  # the cell itself does not parse
    return frames


def _unlike(frames):
    """The frames, with a line instead of those that repeat: of a place met more than three times in a row of such places
    the first two and the last are shown."""
    places = [(frame.f_code, line) for frame, line in frames]
    counts = {}
    for place in places:
        counts[place] = counts.get(place, 0) + 1
    shown = []
    for is_common, group in itertools.groupby(range(len(places)), lambda i: counts[places[i]] > 3):
        group = list(group)
        if not is_common:
            shown += group
            continue
        for place in {places[i] for i in group}:
            met = [i for i in group if places[i] == place]
            shown += met[:2] + met[-1:]
    shown = set(shown)
    for is_shown, group in itertools.groupby(range(len(places)), lambda i: i in shown):
        group = list(group)
        if is_shown:
            for i in group:
                yield frames[i]
            continue
        times = {}
        for i in group:
            times[places[i]] = times.get(places[i], 0) + 1
        ranked = sorted(times.items(), key=lambda item: (-item[1], item[0][0].co_name))
        told = ["%s at line %d (%d times)" % (_qualified(code), line, n) for (code, line), n in ranked]
        yield "    [... skipping similar frames: %s]\n\n" % ", ".join(told)


def _show_final(error, write):
    if isinstance(error, SyntaxError):
        final = "".join(traceback.format_exception_only(type(error), error))
        if _is_cell(error.filename):
            final = final.replace('File "%s", line' % error.filename, "%s, line" % error.filename, 1)
    else:
        final = "%s: %s\n" % (brief(type(error).__name__, 1000), brief(error, LONGEST_FINAL_LINES))
    if len(final) > LONGEST_FINAL_LINES:
        final = final[:LONGEST_FINAL_LINES] + "...\n"
    write(final)


def _is_cell(filename):
    return bool(filename) and (filename.startswith("Cell In[") or filename == "Program")


def _qualified(code):
    return getattr(code, "co_qualname", code.co_name)  # since Python 3.11


def _frame(frame, line, context):
    code = frame.f_code
    where = "%s, line %d" if _is_cell(code.co_filename) else "File %s:%d"
    where %= _without_folder(code.co_filename), line
    inside = "" if code.co_name == "<module>" else ", in " + _qualified(code) + _parameters(frame)
    return where + inside + "\n" + _source(code, line, context) + "\n"


def _parameters(frame):
    """The names of a function's parameters, as far as the frame still has them."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    names = list(code.co_varnames[:count])
    stars = []
    for flag, star in ((4, "*"), (8, "**")):
        if code.co_flags & flag:
            stars.append(star + code.co_varnames[count])
            count += 1
    if any(name.lstrip("*") not in frame.f_locals for name in names + stars):
        return "(***failed resolving arguments***)"
    return "(%s)" % ", ".join(names + stars)


def _source(code, line, context):
    """The statement at a line and those around it, with numbers and an arrow, blank lines between them left out."""
    lines = [text.rstrip("\n") for text in linecache.getlines(code.co_filename)]
    if not 1 <= line <= len(lines):
        return ""
    pieces, current = _pieces_of_scope(lines, code, line)
    before, after = context
    numbers = []
    for position in range(max(0, current - before), min(len(pieces), current + after + 1)):
        piece = list(range(*pieces[position]))
        if position != current and len(piece) > MOST_LINES:
            right = (MOST_LINES - 1) // 2
            piece[MOST_LINES - 1 - right : -right] = [None]
        numbers += piece
    texts = textwrap.dedent("\n".join(lines[n - 1] for n in numbers if n)).split("\n")
    shown = []
    for number in numbers:
        if number is None:
            shown.append("   (...)\n")
        elif number == line:
            digits = str(number)
            shown.append("-" * (5 - len(digits)) + "> " + digits + " " + texts.pop(0).rstrip() + "\n")
        else:
            shown.append("%7d %s\n" % (number, texts.pop(0).rstrip()))
    return "".join(shown)


def _pieces_of_scope(lines, code, line):
    """The pieces, as pairs of a first line and the one after the last, of the function, class or module that runs; and
    which of them the line is in."""
    pieces, scope = None, None
    if len(lines) <= LONGEST_SOURCE:
        try:
            tree = ast.parse("\n".join(lines) + "\n")
            scope = _scope(tree, code, line)
            first, last = (1, len(lines) + 1) if scope is tree else _range(scope)
            pieces = [p for p in _pieces(tree, lines) if first <= p[0] and p[1] <= last]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pieces = None
    for position, (start, end) in enumerate(pieces or []):
        if start <= line < end:
            return pieces, position
    return [(n, n + 1) for n in range(1, len(lines) + 1)], line - 1


def _scope(tree, code, line):
    if code.co_name == "<module>":
        return tree
    within = tree
    for node in ast.walk(tree):  # outer ones first
        if not isinstance(node, SCOPES):
            continue
        if node.name == code.co_name and code.co_firstlineno in (_range(node)[0], node.lineno):
            return node
        # Lambdas and comprehensions belong to the function around them.
        if code.co_name.startswith("<") and node.body[0].lineno <= line <= node.end_lineno:
            within = node
    return within


def _range(node):
    """A node's first line, decorators included, and the one after its last."""
    if not hasattr(node, "lineno"):  # a case of a `match`
        return node.pattern.lineno, node.body[-1].end_lineno + 1
    return min([node.lineno] + [d.lineno for d in getattr(node, "decorator_list", [])]), node.end_lineno + 1


def _pieces(tree, lines):
    """Statements that hold no others, and what lies between them: the heads of those that do, comments."""
    joined = []
    for start, end in _split(tree, 1, len(lines) + 1):
        if joined and start < joined[-1][1]:  # after a semicolon
            joined[-1] = (joined[-1][0], end)
        elif start < end:
            joined.append((start, end))
    for start, end in joined:
        while start < end and not lines[start - 1].strip():
            start += 1
        while start < end and not lines[end - 2].strip():
            end -= 1
        if start < end:
            yield start, end


def _split(node, start, end):
    for _, body in ast.iter_fields(node):
        if not isinstance(body, list) or not body or not hasattr(body[0], "body") and not isinstance(body[0], ast.stmt):
            continue
        last = None
        for inner in sorted(body, key=_range):
            extent = _range(inner)
            if extent == last:
                continue
            last = extent
            for first, after in _split(inner, *extent):
                if start < first:
                    yield start, first
                if first < after:
                    yield first, after
                start = after
    yield start, end


def _without_folder(filename):
    if _is_cell(filename) or filename.startswith("<"):
        return filename
    for folder in sys.path:
        if folder and filename.startswith(folder + os.sep):
            return filename[len(folder) + 1 :]
    return os.path.basename(filename)
