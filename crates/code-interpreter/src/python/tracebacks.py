"""Short tracebacks, laid out as IPython lays them out, without the machine's paths.

Only the names `show_error` and `brief` are used elsewhere.
"""

import linecache
import os
import sys
import traceback

CONTEXT_LINES = 2
FIRST_FRAMES = 2
LAST_FRAMES = 2
LONGEST_FINAL_LINES = 10_000
CAUSED = "The above exception was the direct cause of the following exception"
DURING = "During handling of the above exception, another exception occurred"


def brief(value, longest):
    """`str(value)` cut to `longest` characters; never raises."""
    try:
        text = str(value)
    except BaseException:
        text = "<unprintable %s>" % type(value).__name__
    return text if len(text) <= longest else text[:longest] + "..."


def show_error(error, own_globals, write, final=True):
    """Writes the chain of exceptions that ends in `error`, oldest first.

    Without `final` the last exception shows where it was raised and not what it was.
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
        if position:
            write("\n%s:\n\n" % (CAUSED if error.__cause__ is not None else DURING))
        _show_frames(error, own_globals, write)
        if final or position + 1 < len(chain):
            _show_final(error, write)


def _show_frames(error, own_globals, write):
    # Frames of this file and of the worker are told by their globals: their file name, `<string>`,
    # is also that of anything the user passes to `exec`.
    frames = [
        (frame.f_code.co_filename, line or 1, frame.f_code.co_name)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals is not own_globals
    ]
    if isinstance(error, SyntaxError) and all(not _is_cell(name) for name, _, _ in frames):
        frames = []  # the cell itself does not parse
    skipped = len(frames) - FIRST_FRAMES - LAST_FRAMES
    for position, (filename, line, name) in enumerate(frames):
        if skipped > 1 and FIRST_FRAMES <= position < FIRST_FRAMES + skipped:
            if position == FIRST_FRAMES:
                write("... %d more frames ...\n\n" % skipped)
            continue
        write(_frame(filename, line, name))


def _show_final(error, write):
    final = "".join(traceback.format_exception_only(type(error), error))
    if isinstance(error, SyntaxError) and _is_cell(error.filename):
        final = final.replace('File "%s", line' % error.filename, "%s, line" % error.filename, 1)
    if len(final) > LONGEST_FINAL_LINES:
        final = final[:LONGEST_FINAL_LINES] + "...\n"
    write(final)


def _is_cell(filename):
    return bool(filename) and (filename.startswith("Cell In[") or filename == "Program")


def _frame(filename, line, name):
    inside = "" if name == "<module>" else ", in %s" % name
    if not _is_cell(filename):
        return "File %s:%s%s\n\n" % (_without_folder(filename), line, inside)
    text = ["%s, line %s%s\n" % (filename, line, inside)]
    for number in range(max(1, line - CONTEXT_LINES), line + CONTEXT_LINES + 1):
        source = linecache.getline(filename, number)
        if not source:
            continue
        if number == line:
            digits = str(number)
            text.append("-" * (5 - len(digits)) + "> " + digits + " " + source.rstrip("\n") + "\n")
        else:
            text.append("%7d %s\n" % (number, source.rstrip("\n")))
    return "".join(text) + "\n"


def _without_folder(filename):
    for folder in sys.path:
        if folder and filename.startswith(folder + os.sep):
            return filename[len(folder) + 1 :]
    return os.path.basename(filename)
