"""The candidate's process: loads the solution and makes the calls that the tests ask for.

Whatever the solution does to this code only changes its own answers.
"""

import builtins
import linecache
import sys

LONGEST_MESSAGE = 500
# All that Python raises by itself; not the worker's own, by which it ends at a limit.
RAISED = (Exception, SystemExit, KeyboardInterrupt, GeneratorExit)
SOLUTION = types.ModuleType("solution")


def serve(call_out):
    text = call_out("ready")
    while True:
        op, _, request = text.partition(" ")
        try:
            answer = json.dumps(OPERATIONS[op](json.loads(request)))
        except RAISED as error:
            answer = json.dumps({"error": describe(error)})
        try:
            text = call_out(answer)
        except ValueError as error:  # too long
            text = call_out(json.dumps({"uncrossable": str(error)}))


def load(source):
    # Known by its name, for what looks its own module up: dataclasses, pickles.
    sys.modules["solution"] = SOLUTION
    linecache.cache["solution.py"] = (len(source), None, source.splitlines(True), "solution.py")
    exec(compile(source, "solution.py", "exec", dont_inherit=True), SOLUTION.__dict__)
    return {}


def names(wanted):
    """Of the names that the tests use and do not define, those that the solution does."""
    found = {}
    for name in wanted:
        if name not in SOLUTION.__dict__:
            continue
        value = SOLUTION.__dict__[name]
        try:
            found[name] = {"callable": True} if callable(value) else {"value": encode(value, Memory())}
        except (Uncrossable, RecursionError) as error:
            found[name] = {"uncrossable": str(error)}
    return {"names": found}


def call(request):
    name, args, kwargs = request
    memory = Memory()
    args = decode_all(args, memory)
    kwargs = dict(decode_pairs(kwargs, memory))
    before = [json.dumps(encode_content(value, memory)) for value in memory.objects]
    if name not in SOLUTION.__dict__:
        raise NameError("name %r is not defined" % name)
    try:
        value = SOLUTION.__dict__[name](*args, **kwargs)
    except RAISED as error:
        answer = {"error": describe(error)}
    else:
        answer = {}
    try:
        if not answer:
            answer["value"] = encode(value, memory)
        answer["changed"] = []
        for number, was in enumerate(before):
            content = encode_content(memory.objects[number], memory)
            if json.dumps(content) != was:
                answer["changed"].append([number, content])
        return answer
    except Uncrossable as error:
        return {"uncrossable": str(error)}
    except RecursionError:
        return {"uncrossable": "a value that is nested too deeply"}


def describe(error):
    """An exception as data: the builtin class that it is or comes from, its arguments if they are plain, its text."""
    kind = next(kind for kind in type(error).__mro__ if vars(builtins).get(kind.__name__) is kind)
    try:
        text = str(error)
    except Exception:
        text = ""
    described = {"kind": kind.__name__, "own": type(error).__name__, "message": text[:LONGEST_MESSAGE]}
    try:
        arguments = encode_all(error.args, Memory())
        if len(json.dumps(arguments)) <= 10 * LONGEST_MESSAGE:
            described["args"] = arguments
    except (Uncrossable, RecursionError):
        pass
    return described


OPERATIONS = {"load": load, "names": names, "call": call}
