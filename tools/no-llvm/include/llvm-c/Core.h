#pragma once

typedef struct LLVMOpaqueModule *LLVMModuleRef;
