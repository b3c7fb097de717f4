// As much of LLVM's interface as CubeCL's C++ needs to compile. None of it is reached: see ../../README.md.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include <llvm-c/Core.h>

namespace llvm {

class StringRef {
public:
  StringRef(const char *, size_t) {}
};

class Error {};
inline std::string toString(Error) { return "built without LLVM"; }

template <class Value> class Expected {
public:
  explicit operator bool() const { return false; }
  Value operator*() { std::abort(); }
  Error takeError() { return Error(); }
};

class LLVMContext {};

class Module {
public:
  LLVMContext &getContext() { std::abort(); }
};
inline Module *unwrap(LLVMModuleRef) { std::abort(); }

class MemoryBufferRef {};

class MemoryBuffer {
public:
  static std::unique_ptr<MemoryBuffer> getMemBuffer(StringRef, const char *, bool) { std::abort(); }
  MemoryBufferRef getMemBufferRef() { return MemoryBufferRef(); }
};

inline Expected<std::unique_ptr<Module>> parseBitcodeFile(MemoryBufferRef, LLVMContext &) { std::abort(); }

class Linker {
public:
  enum Flags { LinkOnlyNeeded };
  static bool linkModules(Module &, std::unique_ptr<Module>, Flags) { std::abort(); }
};

namespace cl {

class Option {
public:
  bool addOccurrence(unsigned, const char *, const char *) { return true; }
};

inline std::map<std::string, Option *> &getRegisteredOptions() {
  static std::map<std::string, Option *> none;
  return none;
}

} // namespace cl
} // namespace llvm
