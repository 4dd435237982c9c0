/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program whose compiler was misled: it has laid the usual way through the
 * loop out as a detour around what hardly ever happens.  A profile of taken
 * branches tells an optimizer what to do about it.
 *
 * Each block has an instruction of its own with a number that is nowhere else,
 * so that the block can be found whatever an optimizer does with it.  There is
 * no libc, so that all code of the program is in this file.
 */

#define TURNS 64000
/* So many turns have one that goes each of the rare ways */
#define RARELY 64

#define MARK(number) \
    __asm__ volatile("movl %0, %%eax" : : "i"(0x5eed0000 + (number)) : "eax")

/* Compilers also believe by themselves that numbers hardly ever are equal */
#ifdef MISLED
#define USUAL(condition) __builtin_expect(condition, 0)
#else
#define USUAL(condition) (condition)
#endif

/*
 * 1 in one turn of RARELY, and 0 in the others; no compiler can tell when.  It
 * is no function, since AutoFDO loses the names of those that are inlined.
 */
#define RARE(turn) ({                                        \
    unsigned last_of_them = (turn) % RARELY / (RARELY - 1);  \
    __asm__ volatile("" : "+r"(last_of_them));               \
    last_of_them;                                            \
})

static __attribute__((noinline)) unsigned work(unsigned turns)
{
    unsigned sum = 0;

    for (unsigned turn = 0; turn < turns; turn++) {
        if (USUAL(RARE(turn) == 0)) {
            MARK(1);
            sum ^= turn;
        } else {
            MARK(0x11);
            sum = sum * 5 + 1;
        }
        if (USUAL(RARE(turn + 1) == 0)) {
            MARK(2);
            sum += turn;
        } else {
            MARK(0x12);
            sum = sum * 3 + 1;
        }
        MARK(3);
    }
    return sum;
}

__attribute__((noreturn)) void _start(void)
{
    unsigned status = work(TURNS) % 128;

    /* exit(status) */
    __asm__ volatile("syscall" : : "a"(60L), "D"((long)status));
    __builtin_unreachable();
}
