// A CUDA driver without a GPU. Programs that load `libcuda.so.1` run on it to their end: memory is accounted for and never
// there, kernels are loaded and counted and never run, and what is read back is a number near 1 in float32 and bfloat16.
// At the end the account is written as JSON to the file that NULL_CUDA_ACCOUNT names.
//
// The stand-in for cuBLASLt (null_cublaslt.c) tells it of matrix products, whose order among all other work is checked.
//
// What a program asks of the driver is so counted exactly, and every kernel is compiled by the real compiler for the
// architecture that this driver says it is. What kernels compute is not tested by this.

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int Result;
typedef uint64_t DevicePointer;

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

// An NVIDIA H200. NULL_CUDA_MIB gives another size of memory.
static const char *const NAME = "NVIDIA H200";
static const uint64_t MEMORY_MIB = 143771;
// What a context takes on such a card, roughly.
static const uint64_t CONTEXT_MIB = 700;

// --- the account -----------------------------------------------------------------------------------------------------------

struct Kernel {
  char name[256];
  uint64_t launches;
  struct Kernel *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct Kernel *kernels;
static uint64_t launches, modules, synchronizations, copies, fills;
static uint64_t uploads, uploaded_bytes, reads, read_bytes;
static uint64_t allocations, refused, held_bytes, peak_bytes;
static uint64_t products, products_added, products_refused, products_unordered;

static void add(uint64_t *counter, uint64_t amount) {
  pthread_mutex_lock(&lock);
  *counter += amount;
  pthread_mutex_unlock(&lock);
}

static int by_launches(const void *a, const void *b) {
  uint64_t x = (*(struct Kernel *const *)a)->launches, y = (*(struct Kernel *const *)b)->launches;
  return (x < y) - (x > y);
}

__attribute__((destructor)) static void write_account(void) {
  const char *path = getenv("NULL_CUDA_ACCOUNT");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (!file)
    return;
  fprintf(file,
          "{\"launches\": %lu, \"modules\": %lu, \"synchronizations\": %lu, \"copies\": %lu, \"fills\": %lu,\n"
          " \"uploads\": %lu, \"uploaded_bytes\": %lu, \"reads\": %lu, \"read_bytes\": %lu,\n"
          " \"allocations\": %lu, \"refused_allocations\": %lu, \"held_bytes\": %lu, \"peak_bytes\": %lu,\n"
          " \"products\": %lu, \"products_added\": %lu, \"products_refused\": %lu, \"products_unordered\": %lu,\n"
          " \"kernels\": {",
          launches, modules, synchronizations, copies, fills, uploads, uploaded_bytes, reads, read_bytes, allocations, refused,
          held_bytes, peak_bytes, products, products_added, products_refused, products_unordered);
  size_t count = 0;
  for (struct Kernel *it = kernels; it; it = it->next)
    count += it->launches > 0;
  struct Kernel **sorted = calloc(count + 1, sizeof *sorted);
  size_t filled = 0;
  for (struct Kernel *it = kernels; it && sorted; it = it->next)
    if (it->launches > 0)
      sorted[filled++] = it;
  qsort(sorted, filled, sizeof *sorted, by_launches);
  // A kernel of one name may have been loaded more than once, for other constants.
  for (size_t i = 0; i < filled; i++)
    fprintf(file, "%s\n  \"%s#%zu\": %lu", i ? "," : "", sorted[i]->name, i, sorted[i]->launches);
  fprintf(file, "\n }\n}\n");
  fclose(file);
}

// --- the order of matrix products ------------------------------------------------------------------------------------------

// Products are on a stream that no kernel is on. One may start when all work before it is done, and no work may start before
// it is done: by events of the whole context, or because the host waits. All work of the context but products is numbered,
// and so are products; a stream knows what work it has waited for, the context what products.
struct Event {
  struct timespec time;
  uint64_t work, products;
};
enum { STREAMS = 4096 };
static uint64_t work, host_waited_for, waited_for[STREAMS], products_waited_for;
static void *stream_of_products;

static uint64_t *waited_for_by(void *stream) { return &waited_for[((uintptr_t)stream >> 4) % STREAMS]; }

static void count_work(void) {
  pthread_mutex_lock(&lock);
  work++;
  products_unordered += products_waited_for < products;
  pthread_mutex_unlock(&lock);
}

// For the stand-in of cuBLASLt: a product that was asked for, whether it is added to what is there, and whether it is right.
void null_cuda_product(void *stream, int added, int right) {
  pthread_mutex_lock(&lock);
  if (right) {
    products++;
    products_added += added != 0;
    uint64_t waited = *waited_for_by(stream);
    products_unordered += (waited > host_waited_for ? waited : host_waited_for) < work;
    products_unordered += stream_of_products && stream_of_products != stream;
    stream_of_products = stream;
  } else {
    products_refused++;
  }
  pthread_mutex_unlock(&lock);
}

// --- memory ----------------------------------------------------------------------------------------------------------------

// Where each piece begins and how long it is: open addressing, a hole after a removal marked by length 0.
struct Piece {
  DevicePointer start;
  uint64_t bytes;
};
static struct Piece *pieces;
static size_t slots, used_slots;
static DevicePointer next_address = 0x700000000000ull;

static uint64_t memory_bytes(void) {
  const char *mib = getenv("NULL_CUDA_MIB");
  return (mib ? strtoull(mib, NULL, 10) : MEMORY_MIB) << 20;
}

static size_t slot_of(DevicePointer start) { return (start >> 9) * 0x9e3779b97f4a7c15ull % slots; }

static void put(DevicePointer start, uint64_t bytes) {
  size_t slot = slot_of(start);
  while (pieces[slot].start)
    slot = (slot + 1) % slots;
  pieces[slot] = (struct Piece){start, bytes};
  used_slots++;
}

static int grow(void) {
  struct Piece *old = pieces;
  size_t old_slots = slots;
  slots = slots ? 2 * slots : 1024;
  pieces = calloc(slots, sizeof *pieces);
  if (!pieces)
    return 0;
  used_slots = 0;
  for (size_t i = 0; i < old_slots; i++)
    if (old[i].bytes)
      put(old[i].start, old[i].bytes);
  free(old);
  return 1;
}

static Result allocate(DevicePointer *start, uint64_t bytes) {
  if (!bytes)
    return INVALID_VALUE;
  pthread_mutex_lock(&lock);
  Result result = OUT_OF_MEMORY;
  if (held_bytes + bytes > memory_bytes() - (CONTEXT_MIB << 20)) {
    refused++;
  } else if (2 * used_slots < slots || grow()) {
    *start = next_address;
    next_address += (bytes + 511) / 512 * 512;
    put(*start, bytes);
    allocations++;
    held_bytes += bytes;
    if (held_bytes > peak_bytes)
      peak_bytes = held_bytes;
    result = SUCCESS;
  }
  pthread_mutex_unlock(&lock);
  return result;
}

static Result release(DevicePointer start) {
  pthread_mutex_lock(&lock);
  Result result = INVALID_VALUE;
  for (size_t slot = slots ? slot_of(start) : 0; slots && pieces[slot].start; slot = (slot + 1) % slots) {
    if (pieces[slot].start == start && pieces[slot].bytes) {
      held_bytes -= pieces[slot].bytes;
      pieces[slot].bytes = 0;
      result = SUCCESS;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
  return result;
}

// For the stand-in of cuBLASLt: whether all of a range is in one piece of memory.
int null_cuda_holds(DevicePointer start, uint64_t bytes) {
  int found = 0;
  pthread_mutex_lock(&lock);
  for (size_t slot = 0; slot < slots && !found; slot++) {
    struct Piece piece = pieces[slot];
    found = start >= piece.start && bytes <= piece.bytes && start - piece.start <= piece.bytes - bytes;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

Result cuMemAlloc_v2(DevicePointer *start, size_t bytes) { return allocate(start, bytes); }
Result cuMemAllocAsync(DevicePointer *start, size_t bytes, void *stream) { return allocate(start, bytes); }
Result cuMemFree_v2(DevicePointer start) { return release(start); }
Result cuMemFreeAsync(DevicePointer start, void *stream) { return release(start); }
Result cuMemGetInfo_v2(size_t *available, size_t *total) {
  *total = memory_bytes();
  *available = *total - (CONTEXT_MIB << 20) - held_bytes;
  return SUCCESS;
}
Result cuMemAllocHost_v2(void **memory, size_t bytes) {
  *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  return *memory ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) { return cuMemAllocHost_v2(memory, bytes); }
Result cuMemFreeHost(void *memory) {
  free(memory);
  return SUCCESS;
}

// --- copies ----------------------------------------------------------------------------------------------------------------

static void read_back(void *host, uint64_t bytes) {
  count_work();
  // 1.0 in bfloat16, twice: 1.0019 in float32.
  for (uint64_t i = 0; i < bytes; i++)
    ((unsigned char *)host)[i] = i % 2 ? 0x3f : 0x80;
  pthread_mutex_lock(&lock);
  reads++;
  read_bytes += bytes;
  pthread_mutex_unlock(&lock);
}

static Result upload(uint64_t bytes) {
  count_work();
  pthread_mutex_lock(&lock);
  uploads++;
  uploaded_bytes += bytes;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

Result cuMemcpyHtoD_v2(DevicePointer to, const void *from, size_t bytes) { return upload(bytes); }
Result cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from, size_t bytes, void *stream) { return upload(bytes); }
Result cuMemcpyDtoH_v2(void *to, DevicePointer from, size_t bytes) {
  read_back(to, bytes);
  return SUCCESS;
}
Result cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes, void *stream) {
  return cuMemcpyDtoH_v2(to, from, bytes);
}
Result cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes, void *stream) {
  count_work();
  add(&copies, 1);
  return SUCCESS;
}
Result cuMemcpyDtoD_v2(DevicePointer to, DevicePointer from, size_t bytes) { return cuMemcpyDtoDAsync_v2(to, from, bytes, NULL); }

// CUDA_MEMCPY2D of cuda.h.
struct Copy2D {
  size_t from_x, from_y;
  unsigned from_type;
  const void *from_host;
  DevicePointer from_device;
  void *from_array;
  size_t from_pitch;
  size_t to_x, to_y;
  unsigned to_type;
  void *to_host;
  DevicePointer to_device;
  void *to_array;
  size_t to_pitch;
  size_t width, height;
};
enum { HOST = 1 };

Result cuMemcpy2DAsync_v2(const struct Copy2D *copy, void *stream) {
  if (copy->from_type == HOST)
    return upload(copy->width * copy->height);
  count_work();
  if (copy->to_type != HOST) {
    add(&copies, 1);
    return SUCCESS;
  }
  for (size_t row = 0; row < copy->height; row++)
    for (size_t i = 0; i < copy->width; i++)
      ((unsigned char *)copy->to_host)[(copy->to_y + row) * copy->to_pitch + copy->to_x + i] = i % 2 ? 0x3f : 0x80;
  pthread_mutex_lock(&lock);
  reads++;
  read_bytes += copy->width * copy->height;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
Result cuMemsetD8Async(DevicePointer to, unsigned char value, size_t count, void *stream) {
  count_work();
  add(&fills, 1);
  return SUCCESS;
}
Result cuMemsetD32Async(DevicePointer to, unsigned value, size_t count, void *stream) {
  count_work();
  add(&fills, 1);
  return SUCCESS;
}

// --- kernels ---------------------------------------------------------------------------------------------------------------

// NULL_CUDA_MODULES names a folder that gets every module, as it came: PTX, a text.
static void keep_module(uint64_t number, const char *text) {
  const char *folder = getenv("NULL_CUDA_MODULES");
  char path[4096];
  if (!folder || snprintf(path, sizeof path, "%s/%04lu.ptx", folder, number) >= (int)sizeof path)
    return;
  FILE *file = fopen(path, "w");
  if (!file)
    return;
  fputs(text, file);
  fclose(file);
}

Result cuModuleLoadData(void **module, const void *image) {
  pthread_mutex_lock(&lock);
  uint64_t number = modules++;
  pthread_mutex_unlock(&lock);
  keep_module(number, image);
  *module = (void *)0x2000;
  return SUCCESS;
}
Result cuModuleUnload(void *module) { return SUCCESS; }
Result cuModuleGetFunction(void **function, void *module, const char *name) {
  struct Kernel *kernel = calloc(1, sizeof *kernel);
  if (!kernel)
    return OUT_OF_MEMORY;
  strncpy(kernel->name, name, sizeof kernel->name - 1);
  pthread_mutex_lock(&lock);
  kernel->next = kernels;
  kernels = kernel;
  pthread_mutex_unlock(&lock);
  *function = kernel;
  return SUCCESS;
}
Result cuFuncSetAttribute(void *function, int attribute, int value) { return SUCCESS; }
Result cuFuncGetAttribute(int *value, int attribute, void *function) {
  *value = 0;
  return SUCCESS;
}

static Result launch(struct Kernel *kernel) {
  count_work();
  pthread_mutex_lock(&lock);
  launches++;
  kernel->launches++;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
Result cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                      unsigned block_z, unsigned shared_bytes, void *stream, void **arguments, void **extra) {
  return launch(function);
}
Result cuLaunchKernelEx(const void *config, void *function, void **arguments, void **extra) { return launch(function); }
Result cuTensorMapEncodeTiled(void *map) { return SUCCESS; }
Result cuTensorMapEncodeIm2col(void *map) { return SUCCESS; }

// --- devices, contexts, streams, events ------------------------------------------------------------------------------------

Result cuInit(unsigned flags) { return SUCCESS; }
Result cuDriverGetVersion(int *version) {
  *version = 13000;
  return SUCCESS;
}
// NVRTC asks for tables that no header describes, and does without.
Result cuGetExportTable(const void **table, const void *id) {
  *table = NULL;
  return NOT_FOUND;
}
Result cuDeviceGet(int *device, int ordinal) {
  *device = 0;
  return ordinal == 0 ? SUCCESS : INVALID_VALUE;
}
Result cuDeviceGetCount(int *count) {
  *count = 1;
  return SUCCESS;
}
Result cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, (size_t)length, "%s", NAME);
  return SUCCESS;
}
Result cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = memory_bytes();
  return SUCCESS;
}
Result cuDeviceGetPCIBusId(char *id, int length, int device) {
  snprintf(id, (size_t)length, "0000:01:00.0");
  return SUCCESS;
}
Result cuDeviceGetUuid_v2(char *uuid, int device) {
  memset(uuid, 1, 16);
  return SUCCESS;
}

// Numbers of CUdevice_attribute in cuda.h; what is not listed is a yes.
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
  static const int ATTRIBUTES[][2] = {
      {1, 1024},       // threads of a block
      {2, 1024},       // block, x
      {3, 1024},       // block, y
      {4, 64},         // block, z
      {5, 2147483647}, // grid, x
      {6, 65535},      // grid, y
      {7, 65535},      // grid, z
      {8, 49152},      // shared memory of a block
      {10, 32},        // warp
      {12, 65536},     // registers of a block
      {13, 1980000},   // clock, kHz
      {16, 132},       // multiprocessors
      {36, 3201000},   // memory clock, kHz
      {37, 6144},      // memory bus, bits
      {38, 62914560},  // second-level cache
      {39, 2048},      // threads of a multiprocessor
      {75, 9},         // compute capability
      {76, 0},         //
      {81, 233472},    // shared memory of a multiprocessor
      {97, 232448},    // shared memory of a block, on request
  };
  *value = 1;
  for (size_t i = 0; i < sizeof ATTRIBUTES / sizeof *ATTRIBUTES; i++)
    if (ATTRIBUTES[i][0] == attribute)
      *value = ATTRIBUTES[i][1];
  return SUCCESS;
}

Result cuDevicePrimaryCtxRetain(void **context, int device) {
  *context = (void *)0x1000;
  return SUCCESS;
}
Result cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }
Result cuCtxSetCurrent(void *context) { return SUCCESS; }
Result cuCtxGetCurrent(void **context) { return cuDevicePrimaryCtxRetain(context, 0); }
Result cuCtxPushCurrent_v2(void *context) { return SUCCESS; }
Result cuCtxPopCurrent_v2(void **context) { return cuDevicePrimaryCtxRetain(context, 0); }
Result cuCtxGetDevice(int *device) { return cuDeviceGet(device, 0); }
Result cuCtxEnablePeerAccess(void *context, unsigned flags) { return SUCCESS; }
Result cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  *least = 0;
  *greatest = -5;
  return SUCCESS;
}
Result cuCtxSynchronize(void) {
  pthread_mutex_lock(&lock);
  synchronizations++;
  host_waited_for = work;
  products_waited_for = products;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
// As before CUDA 12.5.
#ifndef NULL_CUDA_WITHOUT_CONTEXT_EVENTS
Result cuCtxRecordEvent(void *context, struct Event *event) {
  pthread_mutex_lock(&lock);
  event->work = work;
  event->products = products;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
Result cuCtxWaitEvent(void *context, struct Event *event) {
  pthread_mutex_lock(&lock);
  if (event->products > products_waited_for)
    products_waited_for = event->products;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
#endif

Result cuStreamCreate(void **stream, unsigned flags) {
  static uintptr_t last = 0x3000;
  *stream = (void *)__sync_add_and_fetch(&last, 16);
  return SUCCESS;
}
Result cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { return cuStreamCreate(stream, flags); }
Result cuStreamDestroy_v2(void *stream) { return SUCCESS; }
Result cuStreamQuery(void *stream) { return SUCCESS; }
Result cuStreamSynchronize(void *stream) {
  pthread_mutex_lock(&lock);
  synchronizations++;
  if (stream == stream_of_products)
    products_waited_for = products;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
Result cuStreamWaitEvent(void *stream, struct Event *event, unsigned flags) {
  pthread_mutex_lock(&lock);
  if (event->work > *waited_for_by(stream))
    *waited_for_by(stream) = event->work;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

Result cuEventCreate(void **event, unsigned flags) {
  *event = calloc(1, sizeof(struct Event));
  return *event ? SUCCESS : OUT_OF_MEMORY;
}
Result cuEventRecord(struct Event *event, void *stream) {
  clock_gettime(CLOCK_MONOTONIC, &event->time);
  pthread_mutex_lock(&lock);
  event->work = 0;
  event->products = stream == stream_of_products ? products : 0;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
Result cuEventRecordWithFlags(void *event, void *stream, unsigned flags) { return cuEventRecord(event, stream); }
Result cuEventQuery(void *event) { return SUCCESS; }
Result cuEventSynchronize(void *event) {
  add(&synchronizations, 1);
  return SUCCESS;
}
Result cuEventElapsedTime_v2(float *milliseconds, void *start, void *end) {
  struct timespec a = ((struct Event *)start)->time, b = ((struct Event *)end)->time;
  *milliseconds = (float)((double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) * 1e-6);
  return SUCCESS;
}
Result cuEventElapsedTime(float *milliseconds, void *start, void *end) { return cuEventElapsedTime_v2(milliseconds, start, end); }
Result cuEventDestroy_v2(void *event) {
  free(event);
  return SUCCESS;
}

Result cuGetErrorName(int error, const char **name) {
  *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_INVALID_VALUE";
  return SUCCESS;
}
Result cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }
