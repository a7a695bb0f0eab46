#include "common/base/switch.h"

#if defined(__x86_64__) && !defined(CMS365_UCONTEXT)
/* System V ABI: rbx rbp r12-r15, the x87 control word and MXCSR belong to the callee. */
__asm__(".text\n"
        ".globl switch_stack\n"
        ".hidden switch_stack\n"
        ".type switch_stack, @function\n"
        ".align 16\n"
        "switch_stack:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size switch_stack, .-switch_stack\n"
        ".type switch_begin, @function\n"
        ".align 16\n"
        "switch_begin:\n" /* the first `ret` of a new stack comes here */
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n" /* unwinders stop */
        "    movq %r12, %rdi\n"
        "    xorl %ebp, %ebp\n"
        "    callq *%r13\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size switch_begin, .-switch_begin\n");

extern const char switch_begin[] __attribute__((visibility("hidden")));

struct saved {
    uint32_t mxcsr;
    uint16_t x87, unused;
    uintptr_t r15, r14, r13, r12, rbx, rbp, rip;
    uintptr_t align[2]; /* a call needs the stack pointer at a multiple of 16 */
};
_Static_assert(sizeof(struct saved) == 80, "the frame of switch_stack, and the alignment");

void *switch_prepare(void *stack, size_t size, void (*entry)(void *arg), void *arg)
{
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    struct saved *s = (void *)(top - sizeof(*s));

    *s = (struct saved){ .r12 = (uintptr_t)arg,
                         .r13 = (uintptr_t)entry,
                         .rip = (uintptr_t)switch_begin };
    __asm__("stmxcsr %0\n\tfnstcw %1" : "=m"(s->mxcsr), "=m"(s->x87));
    return s;
}

#elif defined(__aarch64__) && !defined(CMS365_UCONTEXT)
/* AAPCS64: x19-x28, fp, lr and the low halves of v8-v15 belong to the callee. */
__asm__(".text\n"
        ".globl switch_stack\n"
        ".hidden switch_stack\n"
        ".type switch_stack, %function\n"
        ".align 4\n"
        "switch_stack:\n"
        "    hint #34\n" /* bti c, a no-op where there is none */
        "    sub sp, sp, #176\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mrs x9, fpcr\n"
        "    str x9, [sp, #160]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldr x9, [sp, #160]\n"
        "    msr fpcr, x9\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #176\n"
        "    ret\n"
        ".size switch_stack, .-switch_stack\n"
        ".type switch_begin, %function\n"
        ".align 4\n"
        "switch_begin:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined x30\n"
        "    mov x0, x19\n"
        "    mov x29, xzr\n"
        "    blr x20\n"
        "    brk #1\n"
        "    .cfi_endproc\n"
        ".size switch_begin, .-switch_begin\n");

extern const char switch_begin[] __attribute__((visibility("hidden")));

struct saved {
    uint64_t x19, x20, x21_to_x28[8], x29, x30, d8_to_d15[8], fpcr, unused;
};
_Static_assert(sizeof(struct saved) == 176, "the frame of switch_stack");

void *switch_prepare(void *stack, size_t size, void (*entry)(void *arg), void *arg)
{
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    struct saved *s = (void *)(top - sizeof(*s));

    *s = (struct saved){ .x19 = (uintptr_t)arg,
                         .x20 = (uintptr_t)entry,
                         .x30 = (uintptr_t)switch_begin };
    __asm__("mrs %0, fpcr" : "=r"(s->fpcr));
    return s;
}

#else
#include <ucontext.h>

struct first {
    ucontext_t uc;
    void (*entry)(void *arg);
    void *arg;
};

/* makecontext hands on ints only: the pointer comes in two halves. */
static void begin(unsigned high, unsigned low)
{
    struct first *f = (void *)((uintptr_t)((uint64_t)high << 32 | low));

    f->entry(f->arg);
    abort();
}

void *switch_prepare(void *stack, size_t size, void (*entry)(void *arg), void *arg)
{
    uintptr_t top = ((uintptr_t)stack + size - sizeof(struct first)) & ~(uintptr_t)63;
    struct first *f = (void *)top;

    if (getcontext(&f->uc) != 0)
        abort();
    f->uc.uc_stack.ss_sp = stack;
    f->uc.uc_stack.ss_size = top - (uintptr_t)stack;
    f->uc.uc_link = NULL;
    f->entry = entry;
    f->arg = arg;
    makecontext(&f->uc, (void (*)(void))begin, 2, (unsigned)((uint64_t)top >> 32), (unsigned)top);
    return &f->uc;
}

void switch_stack(void **ret_from, void *to)
{
    ucontext_t here; /* lives on the stack that is being suspended */

    *ret_from = &here;
    if (swapcontext(&here, to) != 0)
        abort();
}
#endif
