"""The process of the tests: they run here, and what they call is a stand-in that asks the candidate's process.

No code of the candidate's is ever here, only data.
"""

import ast
import builtins
import importlib
import linecache
import symtable
import sys

NOT_AN_ANSWER = "its process answered something that is no answer"
LONGEST_MESSAGE = 500


class Ended(BaseException):
    """The verdict stands. Not an `Exception`, so that tests that expect one do not take it for that."""


class Tests:
    """The tests of one problem."""

    def __init__(self, call_out, source, entry_point):
        self.call_out = call_out
        self.source = source
        self.entry_point = entry_point
        self.verdict = None
        self.reason = ""
        self.missing = None
        self.called = False
        self.crossed = []

    def end(self, verdict, reason):
        """Settles the verdict, for good: tests may go on if they catch everything."""
        if self.verdict is None:
            self.verdict, self.reason = verdict, reason
        raise Ended

    def run(self):
        try:
            self._run()
            if self.verdict is None:
                self.verdict = "correct"
        except Ended:
            pass
        except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            if self.verdict is None:
                self.verdict, self.reason = self._failure(error)
        return {
            "verdict": self.verdict,
            "reason": self.reason[: 2 * LONGEST_MESSAGE],
            "missing": self.missing,
            "called": self.called,
        }

    def _run(self):
        try:
            code = compiled(self.source, self.entry_point)
            free = free_names(self.source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.end("unjudged", "the tests do not parse: %s" % error)
        module = types.ModuleType("tests")
        sys.modules["tests"] = module
        self._bind(free - {self.entry_point}, module.__dict__)
        module.__dict__[self.entry_point] = self._stand_in(self.entry_point)
        exec(code, module.__dict__)

    def _bind(self, free, namespace):
        """What the tests use and nobody but the candidate can define; modules that it was to import."""
        standard = getattr(sys, "stdlib_module_names", sys.builtin_module_names)
        for name in sorted(free & set(standard)):
            namespace[name] = importlib.import_module(name)
        wanted = sorted(free - set(standard))
        if not wanted:
            return
        found = self._ask("names " + json.dumps(wanted)).get("names")
        if type(found) is not dict:
            self.end("incorrect", NOT_AN_ANSWER)
        for name in wanted:
            if name not in found:
                continue
            if "uncrossable" in found[name]:
                self.end("unjudged", "the tests use `%s`: %s" % (name, found[name]["uncrossable"]))
            if "value" in found[name]:
                namespace[name] = self._decoded(decode, found[name]["value"], Memory())
            else:
                namespace[name] = self._stand_in(name)

    def _stand_in(self, name):
        def stand_in(*args, **kwargs):
            return self._call(name, args, kwargs)

        stand_in.__name__ = stand_in.__qualname__ = name
        return stand_in

    def _call(self, name, args, kwargs):
        memory = Memory()
        try:
            request = json.dumps([name, encode_all(args, memory), encode_pairs(kwargs.items(), memory)])
        except Uncrossable as error:
            self.end("unjudged", "the tests give `%s` %s" % (name, error))
        except RecursionError:
            self.end("unjudged", "the tests give `%s` a value that is nested too deeply" % name)
        ours = len(memory.objects)
        answer = self._ask("call " + request)
        self.called = self.called or name == self.entry_point
        if "uncrossable" in answer:
            self.end("unjudged", "`%s` returned %s" % (name, answer["uncrossable"]))
        if ("value" in answer) == ("error" in answer):
            self.end("incorrect", NOT_AN_ANSWER)
        value = self._decoded(decode, answer.get("value"), memory)
        changes = answer.get("changed", [])
        for change in changes if type(changes) is list else [None]:
            if type(change) is not list or len(change) != 2 or type(change[0]) is not int or not 0 <= change[0] < ours:
                self.end("incorrect", NOT_AN_ANSWER)
            self._decoded(fill, memory.objects[change[0]], change[1], memory)
        if "error" in answer:
            raise self._error(answer["error"])
        return value

    def _ask(self, request):
        if self.verdict is not None:
            raise Ended
        try:
            text = self.call_out(request)
        except ValueError as error:  # too long
            self.end("unjudged", "the tests make %s" % error)
        source, _, answer = text.partition(" ")
        if source == "ended":
            self.end("incorrect", answer)
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError):
            answer = None
        if type(answer) is not dict:
            self.end("incorrect", NOT_AN_ANSWER)
        return answer

    def _decoded(self, read, *args):
        try:
            return read(*args)
        except (Malformed, TypeError, ValueError, KeyError, IndexError, ArithmeticError, RecursionError):
            self.end("incorrect", NOT_AN_ANSWER)

    def _error(self, described):
        """The candidate's exception, of a class of Python's own."""
        fields = described if type(described) is dict else {}
        kind, message = fields.get("kind"), fields.get("message")
        cls = vars(builtins).get(kind) if type(kind) is str else None
        if not isinstance(cls, type) or not issubclass(cls, BaseException) or type(message) is not str:
            self.end("incorrect", NOT_AN_ANSWER)
        if cls is ModuleNotFoundError and self.missing is None:
            self.missing = message
        if issubclass(cls, (StopIteration, StopAsyncIteration)):
            # A test that maps the candidate over its cases would take it for the end of them.
            cls, message = RuntimeError, "raised %s" % kind
            fields = {}
        args = self._decoded(decode_all, fields["args"], Memory()) if "args" in fields else [message]
        try:
            error = cls(*args)
        except Exception:
            error = Exception(message)
        self.crossed.append(error)
        return error

    def _failure(self, error):
        """The verdict on an exception that ended the tests."""
        crossed = any(error is other for other in self.crossed)
        line = None
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "Tests":
                line = trace.tb_lineno
            trace = trace.tb_next
        try:
            text = str(error)[:LONGEST_MESSAGE]
        except Exception:
            text = ""
        what = type(error).__name__ + (": " + text if text else "")
        if isinstance(error, ModuleNotFoundError) and not crossed:
            return "unjudged", "the tests need a module that is not there: %s" % text
        if line is None:
            return "incorrect", what
        source = linecache.getline("Tests", line).strip()[:LONGEST_MESSAGE]
        return "incorrect", "%s in line %d of the tests, `%s`" % (what, line, source)


def compiled(source, entry_point):
    """The code of tests. Problems give a stub of what is asked for, which must not take the solution's place."""
    tree = ast.parse(source, "Tests")
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name == entry_point)
    ]
    linecache.cache["Tests"] = (len(source), None, source.splitlines(True), "Tests")
    return compile(tree, "Tests", "exec", dont_inherit=True)


def free_names(source):
    """The names that code uses and neither defines nor has from Python."""
    used, bound = set(), set(dir(builtins)) | {"__name__", "__file__", "__doc__"}
    top = symtable.symtable(source, "Tests", "exec")
    tables = [top]
    while tables:
        table = tables.pop()
        tables.extend(table.get_children())
        for symbol in table.get_symbols():
            is_global = table is top or symbol.is_global()
            if is_global and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
                bound.add(symbol.get_name())
            elif is_global and symbol.is_referenced():
                used.add(symbol.get_name())
    return used - bound


def judge(call_out):
    tests = Tests(call_out, *json.loads(call_out("tests")))
    call_out("verdict " + json.dumps(tests.run()))
