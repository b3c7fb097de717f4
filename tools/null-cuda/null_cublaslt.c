// A cuBLASLt without a GPU, beside the driver without a GPU. It multiplies nothing. It refuses every product that the real
// library would refuse or that would read or write where it must not: shapes that do not fit, columns that overlap, matrices
// that are not wholly in memory that is allocated, pointers that are not aligned as was said, types that are not mixed, a
// result in the place of a factor. The driver counts the products and checks their order among all other work.
//
// With NULL_CUBLASLT_CALLS every product is written to that file as a line of JSON. With NULL_CUBLASLT_REFUSES there is an
// algorithm for none.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Status;
enum { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };

// Numbers of cudaDataType_t, cublasComputeType_t and attributes in NVIDIA's headers.
enum { F32 = 0, F16 = 2, BF16 = 14 };
enum { COMPUTE_F32 = 68 };
enum { TRANSPOSE_A = 3, TRANSPOSE_B = 4 };
enum { MOST_WORKSPACE = 1, REDUCTIONS = 3, ALIGNMENT_A = 5, ALIGNMENT_B = 6, ALIGNMENT_C = 7, ALIGNMENT_D = 8 };

struct Description {
  int compute, scale, transpose_a, transpose_b;
};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t leading;
};
struct Preference {
  uint64_t workspace;
  uint32_t reductions, a, b, c, d;
};
// What an algorithm is for: 64 bytes, as the real one.
struct Algorithm {
  uint64_t problem, workspace;
  uint32_t a, b, c, d;
  uint64_t unused[4];
};
struct Found {
  struct Algorithm algorithm;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

static void (*note)(void *stream, int added, int right);
static int (*holds)(uint64_t start, uint64_t bytes);
static FILE *calls;

Status cublasLtCreate(void **handle) {
  // The program has loaded it, under the name that the driver has everywhere.
  void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (!driver)
    return NOT_SUPPORTED;
  *(void **)&note = dlsym(driver, "null_cuda_product");
  *(void **)&holds = dlsym(driver, "null_cuda_holds");
  const char *path = getenv("NULL_CUBLASLT_CALLS");
  if (path && !calls)
    calls = fopen(path, "w");
  *handle = (void *)0x1;
  return note && holds ? SUCCESS : NOT_SUPPORTED;
}
Status cublasLtDestroy(void *handle) { return SUCCESS; }
size_t cublasLtGetVersion(void) { return 130000; }

// --- descriptions ----------------------------------------------------------------------------------------------------------

Status cublasLtMatmulDescCreate(struct Description **description, int compute, int scale) {
  *description = calloc(1, sizeof **description);
  if (!*description)
    return INVALID_VALUE;
  (*description)->compute = compute;
  (*description)->scale = scale;
  return SUCCESS;
}
Status cublasLtMatmulDescSetAttribute(struct Description *description, int attribute, const void *value, size_t bytes) {
  if (bytes != sizeof(int))
    return INVALID_VALUE;
  if (attribute == TRANSPOSE_A)
    memcpy(&description->transpose_a, value, bytes);
  else if (attribute == TRANSPOSE_B)
    memcpy(&description->transpose_b, value, bytes);
  else
    return INVALID_VALUE;
  return SUCCESS;
}
Status cublasLtMatmulDescDestroy(struct Description *description) {
  free(description);
  return SUCCESS;
}

Status cublasLtMatrixLayoutCreate(struct Layout **layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  *layout = malloc(sizeof **layout);
  if (!*layout)
    return INVALID_VALUE;
  **layout = (struct Layout){type, rows, columns, leading};
  return SUCCESS;
}
Status cublasLtMatrixLayoutDestroy(struct Layout *layout) {
  free(layout);
  return SUCCESS;
}

Status cublasLtMatmulPreferenceCreate(struct Preference **preference) {
  *preference = malloc(sizeof **preference);
  if (!*preference)
    return INVALID_VALUE;
  **preference = (struct Preference){0, 7, 256, 256, 256, 256};
  return SUCCESS;
}
Status cublasLtMatmulPreferenceSetAttribute(struct Preference *preference, int attribute, const void *value, size_t bytes) {
  void *field = attribute == MOST_WORKSPACE ? (void *)&preference->workspace
                : attribute == REDUCTIONS   ? (void *)&preference->reductions
                : attribute == ALIGNMENT_A  ? (void *)&preference->a
                : attribute == ALIGNMENT_B  ? (void *)&preference->b
                : attribute == ALIGNMENT_C  ? (void *)&preference->c
                : attribute == ALIGNMENT_D  ? (void *)&preference->d
                                            : NULL;
  if (!field || bytes != (attribute == MOST_WORKSPACE ? sizeof(uint64_t) : sizeof(uint32_t)))
    return INVALID_VALUE;
  memcpy(field, value, bytes);
  return SUCCESS;
}
Status cublasLtMatmulPreferenceDestroy(struct Preference *preference) {
  free(preference);
  return SUCCESS;
}

// --- what is wrong with a product ------------------------------------------------------------------------------------------

static uint64_t bytes_of(int type) { return type == F32 ? 4 : 2; }
static const char *name_of(int type) { return type == F32 ? "f32" : type == F16 ? "f16" : "bf16"; }
static uint64_t extent(const struct Layout *it) {
  return ((it->columns - 1) * (uint64_t)it->leading + it->rows) * bytes_of(it->type);
}

static const char *shape_fault(const struct Description *it, const struct Layout *a, const struct Layout *b,
                               const struct Layout *c, const struct Layout *d) {
  const struct Layout *all[] = {a, b, c, d};
  for (int i = 0; i < 4; i++) {
    if (all[i]->type != F32 && all[i]->type != F16 && all[i]->type != BF16)
      return "a type of numbers";
    if (!all[i]->rows || !all[i]->columns)
      return "an empty matrix";
    if (all[i]->leading < 0 || (uint64_t)all[i]->leading < all[i]->rows)
      return "columns that overlap";
  }
  if (it->compute != COMPUTE_F32 || it->scale != F32)
    return "sums that are not in float32";
  if (a->type != b->type || c->type != d->type || (d->type != F32 && d->type != a->type))
    return "a mixture of types";
  uint64_t rows = it->transpose_a ? a->columns : a->rows, inner = it->transpose_a ? a->rows : a->columns;
  uint64_t inner_b = it->transpose_b ? b->columns : b->rows, columns = it->transpose_b ? b->rows : b->columns;
  if (rows != d->rows || columns != d->columns || inner != inner_b)
    return "shapes that do not fit";
  if (memcmp(c, d, sizeof *c))
    return "a sum and a result of different layouts";
  return NULL;
}

static uint64_t problem_of(const struct Description *it, const struct Layout *a, const struct Layout *b, const struct Layout *d) {
  uint64_t hash = 14695981039346656037ull;
  uint64_t facts[] = {it->transpose_a, it->transpose_b, a->type, a->rows, a->columns, a->leading, b->type,
                      b->rows,         b->columns,      b->leading, d->type, d->rows, d->columns, d->leading};
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
    hash = (hash ^ facts[i]) * 1099511628211ull;
  return hash;
}

static int overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes) { return a < b + b_bytes && b < a + a_bytes; }

static Status refuse(const char *reason) {
  fprintf(stderr, "null cuBLASLt: %s\n", reason);
  note(NULL, 0, 0);
  return INVALID_VALUE;
}

// --- products --------------------------------------------------------------------------------------------------------------

Status cublasLtMatmulAlgoGetHeuristic(void *handle, const struct Description *description, const struct Layout *a,
                                      const struct Layout *b, const struct Layout *c, const struct Layout *d,
                                      const struct Preference *preference, int asked, struct Found *found, int *count) {
  *count = 0;
  if (getenv("NULL_CUBLASLT_REFUSES"))
    return NOT_SUPPORTED;
  const char *fault = shape_fault(description, a, b, c, d);
  if (fault)
    return refuse(fault);
  if (asked < 1)
    return INVALID_VALUE;
  memset(found, 0, sizeof *found);
  found->algorithm = (struct Algorithm){problem_of(description, a, b, d), preference->workspace, preference->a, preference->b,
                                        preference->c, preference->d, {0}};
  found->workspace = preference->workspace;
  *count = 1;
  return SUCCESS;
}

Status cublasLtMatmul(void *handle, const struct Description *description, const float *alpha, uint64_t a,
                      const struct Layout *a_layout, uint64_t b, const struct Layout *b_layout, const float *beta, uint64_t c,
                      const struct Layout *c_layout, uint64_t d, const struct Layout *d_layout,
                      const struct Algorithm *algorithm, uint64_t workspace, size_t workspace_bytes, void *stream) {
  const char *fault = shape_fault(description, a_layout, b_layout, c_layout, d_layout);
  if (fault)
    return refuse(fault);
  uint64_t a_bytes = extent(a_layout), b_bytes = extent(b_layout), d_bytes = extent(d_layout);
  if (*alpha != 1 || (*beta != 0 && *beta != 1))
    return refuse("factors other than 0 and 1");
  if (algorithm->problem != problem_of(description, a_layout, b_layout, d_layout))
    return refuse("an algorithm for another product");
  if (a % algorithm->a || b % algorithm->b || c % algorithm->c || d % algorithm->d)
    return refuse("a pointer that is not aligned as was said");
  if (!holds(a, a_bytes) || !holds(b, b_bytes) || !holds(d, d_bytes))
    return refuse("a matrix that is not wholly in memory");
  if (c != d)
    return refuse("a sum in another place than the result");
  if (overlap(d, d_bytes, a, a_bytes) || overlap(d, d_bytes, b, b_bytes))
    return refuse("a result in the place of a factor");
  if (workspace_bytes < algorithm->workspace || workspace % 256 || !holds(workspace, workspace_bytes))
    return refuse("a workspace that is too small, not aligned or not in memory");
  if (overlap(workspace, workspace_bytes, a, a_bytes) || overlap(workspace, workspace_bytes, b, b_bytes) ||
      overlap(workspace, workspace_bytes, d, d_bytes))
    return refuse("a workspace in the place of a matrix");
  note(stream, *beta != 0, 1);
  if (calls) {
    uint64_t inner = description->transpose_a ? a_layout->rows : a_layout->columns;
    fprintf(calls,
            "{\"rows\": %lu, \"inner\": %lu, \"columns\": %lu, \"transposed\": [%s, %s], \"leading\": [%ld, %ld, %ld], "
            "\"types\": [\"%s\", \"%s\"], \"added\": %s, \"places\": [%lu, %lu, %lu]}\n",
            d_layout->rows, inner, d_layout->columns, description->transpose_a ? "true" : "false",
            description->transpose_b ? "true" : "false", a_layout->leading, b_layout->leading, d_layout->leading,
            name_of(a_layout->type), name_of(d_layout->type), *beta != 0 ? "true" : "false", a, b, d);
    fflush(calls);
  }
  return SUCCESS;
}
