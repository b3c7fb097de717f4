#pragma once

#include <llvm/declarations.h>
