/* Shows a program a processor without AVX-512: loaded before it (LD_PRELOAD), in it and in all that it starts.
 *
 * Linux lets a process have the instruction CPUID faulted (arch_prctl, ARCH_SET_CPUID) where the processor can. Each fault
 * comes here, is answered as the processor would, and the bits of AVX-512 are taken out of the answer. Programs that
 * choose their kernels at run time then choose those of AVX2. What was compiled for AVX-512 alone is not changed.
 *
 *     cc -O2 -shared -fPIC -o without_avx512.so without_avx512.c
 *     CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="env LD_PRELOAD=$PWD/without_avx512.so" cargo test --workspace
 *
 * Ends the program with 99 where this is not possible.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

/* Leaf 7: F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ; 4VNNIW, 4FMAPS, VP2INTERSECT, FP16;
 * the tiles of AMX go with them. */
static const unsigned AVX512_EBX =
    BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31);
static const unsigned AVX512_ECX = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14);
static const unsigned AVX512_EDX = BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25);
/* Leaf 7.1: BF16. */
static const unsigned AVX512_EAX_1 = BIT(5);

static struct sigaction before;

static long let_cpuid(int pass) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, pass); }

static void on_fault(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *instruction = (const unsigned char *)registers[REG_RIP];
    if (info->si_code != SI_KERNEL || instruction[0] != 0x0f || instruction[1] != 0xa2) {
        /* A fault of the program: it happens again, and is handled as it would have been. */
        sigaction(signal, &before, NULL);
        return;
    }
    unsigned leaf = (unsigned)registers[REG_RAX], subleaf = (unsigned)registers[REG_RCX];
    unsigned a, b, c, d;
    let_cpuid(1);
    __cpuid_count(leaf, subleaf, a, b, c, d);
    let_cpuid(0);
    if (leaf == 7 && subleaf == 0) {
        b &= ~AVX512_EBX;
        c &= ~AVX512_ECX;
        d &= ~AVX512_EDX;
    } else if (leaf == 7 && subleaf == 1) {
        a &= ~AVX512_EAX_1;
    } else if (leaf == 0x24) { /* AVX10 */
        a = b = c = d = 0;
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    if (sigaction(SIGSEGV, &action, &before) != 0 || let_cpuid(0) != 0) {
        fputs("without_avx512: this system cannot hide what the processor has\n", stderr);
        _exit(99);
    }
}
