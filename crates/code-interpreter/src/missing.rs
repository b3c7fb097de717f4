//! Which module a run did not find.

use crate::{Execution, ProgramRun, Status};

impl Status {
    /// The package that the code imports and that is not installed, if it ended for that.
    ///
    /// Modules of the standard library are no packages: code that imports one that its Python does not have is wrong
    /// there. A name that nobody ever gave to a package cannot be told from one that is not installed.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use code_interpreter::{Interpreter, Limits, Python};
    ///
    /// let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
    /// let executions = interpreter.run(&["import no_such_package.part", "import json.no_such_part"])?;
    /// assert_eq!(executions[0].missing_module(), Some("no_such_package"));
    /// assert_eq!(executions[1].missing_module(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn missing_module(&self) -> Option<&str> {
        match self {
            Self::Exception { kind, message } if kind == "ModuleNotFoundError" => named(message),
            _ => None,
        }
    }
}

impl Execution {
    /// [`Status::missing_module`] of this cell.
    pub fn missing_module(&self) -> Option<&str> {
        self.status.missing_module()
    }
}

impl ProgramRun {
    /// [`Status::missing_module`] of this program.
    pub fn missing_module(&self) -> Option<&str> {
        self.status.missing_module()
    }
}

/// The package that the text of a `ModuleNotFoundError` names, unless the standard library has it.
pub(crate) fn named(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("No module named '")?;
    let (module, _) = rest.split_once('\'')?;
    let package = module.split_once('.').map_or(module, |(first, _)| first);
    let is_private = package.starts_with('_');
    (!package.is_empty() && !is_private && STANDARD.binary_search(&package).is_err())
        .then_some(package)
}

/// The standard library's public modules, of Python 3.8 to 3.14, in order.
#[rustfmt::skip]
const STANDARD: &[&str] = &[
    "abc", "aifc", "annotationlib", "antigravity", "argparse", "array", "ast", "asynchat", "asyncio", "asyncore",
    "atexit", "audioop", "base64", "bdb", "binascii", "binhex", "bisect", "builtins", "bz2", "cProfile", "calendar",
    "cgi", "cgitb", "chunk", "cmath", "cmd", "code", "codecs", "codeop", "collections", "colorsys", "compileall",
    "compression", "concurrent", "configparser", "contextlib", "contextvars", "copy", "copyreg", "crypt", "csv",
    "ctypes", "curses", "dataclasses", "datetime", "dbm", "decimal", "difflib", "dis", "distutils", "doctest",
    "dummy_threading", "email", "encodings", "ensurepip", "enum", "errno", "faulthandler", "fcntl", "filecmp",
    "fileinput", "fnmatch", "formatter", "fractions", "ftplib", "functools", "gc", "genericpath", "getopt", "getpass",
    "gettext", "glob", "graphlib", "grp", "gzip", "hashlib", "heapq", "hmac", "html", "http", "idlelib", "imaplib",
    "imghdr", "imp", "importlib", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "lib2to3",
    "linecache", "locale", "logging", "lzma", "macpath", "mailbox", "mailcap", "marshal", "math", "mimetypes", "mmap",
    "modulefinder", "msilib", "msvcrt", "multiprocessing", "netrc", "nis", "nntplib", "nt", "ntpath", "nturl2path",
    "numbers", "opcode", "operator", "optparse", "os", "ossaudiodev", "parser", "pathlib", "pdb", "pickle",
    "pickletools", "pipes", "pkgutil", "platform", "plistlib", "poplib", "posix", "posixpath", "pprint", "profile",
    "pstats", "pty", "pwd", "py_compile", "pyclbr", "pydoc", "pydoc_data", "pyexpat", "queue", "quopri", "random",
    "re", "readline", "reprlib", "resource", "rlcompleter", "runpy", "sched", "secrets", "select", "selectors",
    "shelve", "shlex", "shutil", "signal", "site", "smtpd", "smtplib", "sndhdr", "socket", "socketserver", "spwd",
    "sqlite3", "sre_compile", "sre_constants", "sre_parse", "ssl", "stat", "statistics", "string", "stringprep",
    "struct", "subprocess", "sunau", "symbol", "symtable", "sys", "sysconfig", "syslog", "tabnanny", "tarfile",
    "telnetlib", "tempfile", "termios", "textwrap", "this", "threading", "time", "timeit", "tkinter", "token",
    "tokenize", "tomllib", "trace", "traceback", "tracemalloc", "tty", "turtle", "turtledemo", "types", "typing",
    "unicodedata", "unittest", "urllib", "uu", "uuid", "venv", "warnings", "wave", "weakref", "webbrowser", "winreg",
    "winsound", "wsgiref", "xdrlib", "xml", "xmlrpc", "zipapp", "zipfile", "zipimport", "zlib", "zoneinfo",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_by_its_first_part_and_the_standard_library_is_none() {
        assert_eq!(named("No module named 'numpy'"), Some("numpy"));
        assert_eq!(named("No module named 'sympy.core'"), Some("sympy"));
        let part = "No module named 'os.x'; 'os' is not a package";
        for message in [
            part,
            "No module named '_tkinter'",
            "No module named ''",
            "x",
        ] {
            assert_eq!(named(message), None, "{message}");
        }
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(STANDARD.is_sorted());
    }
}
