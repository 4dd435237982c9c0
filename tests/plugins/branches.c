/*
 * TCG plugin: the taken near branches, each with its source and its target
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Arguments: first=ADDRESS,last=ADDRESS.  At exit the plugin prints a line for
 * each taken near branch between instructions of that range, in the order in
 * which they were executed: the address of the branch and that of its target.
 * Branch records of the virtual PMU are compared with them; the plugin runs in
 * QEMU without our patches.  The range has to be a program's own: one thread on
 * one CPU, and no signals.
 *
 * Without arguments, all that is executed is in the range, and the plugin does
 * what a processor does: it keeps the last branches of each CPU.  At exit it
 * prints how many there were.  This is to measure what it costs: a branch after
 * which an interrupt is taken seems to lead to the interrupt's handler.
 */
#include <glib.h>
#include <inttypes.h>
#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define MAX_INSN 15
/* How many branches a CPU keeps */
#define KEPT 32

/* A branch instruction */
typedef struct {
    uint64_t from;
    /* the address of the instruction that follows */
    uint64_t next;
    bool conditional;
} Branch;

/* One that was taken */
typedef struct {
    uint64_t from;
    uint64_t to;
} Taken;

typedef struct {
    /* The Branch that has begun last, if the next instruction is not known */
    uint64_t pending;
    uint64_t total;
    Taken kept[KEPT];
} CPU;

static bool whole = true;
static uint64_t first, last = UINT64_MAX;
static struct qemu_plugin_scoreboard *cpus;
static qemu_plugin_u64 pending;
/* Of Taken, if there is a range */
static GArray *found;
/* Address and Branch; translation may happen in several threads */
static GHashTable *branches;
static GMutex lock;

static bool is_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
    case 0x66: case 0x67: case 0xf2: case 0xf3:
    case 0x40 ... 0x4f:
        /* The last ones are REX, and in 32-bit code not branches either */
        return true;
    default:
        return false;
    }
}

/* Whether an instruction is a near branch, and whether a conditional one */
static bool is_branch(const uint8_t *code, size_t size, bool *conditional)
{
    size_t i = 0;
    uint8_t op, next;

    while (i + 1 < size && is_prefix(code[i])) {
        i++;
    }
    op = code[i];
    next = i + 1 < size ? code[i + 1] : 0;
    *conditional = (op >= 0x70 && op <= 0x7f) || (op >= 0xe0 && op <= 0xe3) ||
                   (op == 0x0f && next >= 0x80 && next <= 0x8f);
    switch (op) {
    case 0xc2: case 0xc3: case 0xe8: case 0xe9: case 0xeb:
        return true;
    case 0xff:
        /* The field "reg" of ModRM is the operation: CALL or JMP */
        return ((next >> 3) & 7) == 2 || ((next >> 3) & 7) == 4;
    default:
        return *conditional;
    }
}

/* The Branch of an instruction; it lives as long as the emulator */
static Branch *branch_at(uint64_t from, size_t size, bool conditional)
{
    Branch *branch;

    g_mutex_lock(&lock);
    branch = g_hash_table_lookup(branches, &from);
    if (!branch || branch->next != from + size ||
        branch->conditional != conditional) {
        /* New code at an address leaves the old Branch to who may hold it */
        branch = g_new(Branch, 1);
        *branch = (Branch) { from, from + size, conditional };
        g_hash_table_replace(branches, &branch->from, branch);
    }
    g_mutex_unlock(&lock);
    return branch;
}

/* A block begins, and the instruction before it was a branch */
static void arrive(unsigned index, void *opaque)
{
    CPU *cpu = qemu_plugin_scoreboard_find(cpus, index);
    const Branch *branch = (const Branch *)(uintptr_t)cpu->pending;
    Taken taken = { branch->from, (uint64_t)(uintptr_t)opaque };

    cpu->pending = 0;
    /* A branch that has faulted is executed again */
    if (taken.to == taken.from ||
        (branch->conditional && taken.to == branch->next)) {
        return;
    }
    cpu->kept[cpu->total++ % KEPT] = taken;
    if (!whole) {
        g_array_append_val(found, taken);
    }
}

static void watch_branches(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t nr = qemu_plugin_tb_n_insns(tb);
    /* A branch is the last instruction of its block */
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, nr - 1);
    uint64_t begin = qemu_plugin_tb_vaddr(tb);
    uint64_t from = qemu_plugin_insn_vaddr(insn);
    size_t size = qemu_plugin_insn_size(insn);
    uint8_t code[MAX_INSN];
    bool conditional;

    if (begin >= first && begin <= last) {
        qemu_plugin_register_vcpu_tb_exec_cond_cb(
            tb, arrive, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_COND_NE, pending, 0,
            (void *)(uintptr_t)begin);
    }
    if (from < first || from > last ||
        qemu_plugin_insn_data(insn, code, sizeof(code)) < size ||
        !is_branch(code, size, &conditional)) {
        return;
    }
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        insn, QEMU_PLUGIN_INLINE_STORE_U64, pending,
        (uintptr_t)branch_at(from, size, conditional));
}

static void print_branches(qemu_plugin_id_t id, void *opaque)
{
    uint64_t total = 0;
    g_autofree char *line = NULL;

    for (guint i = 0; i < found->len; i++) {
        const Taken *taken = &g_array_index(found, Taken, i);
        g_autofree char *text = g_strdup_printf(
            "0x%" PRIx64 " 0x%" PRIx64 "\n", taken->from, taken->to);

        qemu_plugin_outs(text);
    }
    for (int i = 0; i < qemu_plugin_num_vcpus(); i++) {
        total += ((CPU *)qemu_plugin_scoreboard_find(cpus, i))->total;
    }
    line = g_strdup_printf("branches: %" PRIu64 "\n", total);
    qemu_plugin_outs(line);
}

QEMU_PLUGIN_EXPORT
int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                        char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "first=")) {
            first = g_ascii_strtoull(argv[i] + strlen("first="), NULL, 0);
        } else if (g_str_has_prefix(argv[i], "last=")) {
            last = g_ascii_strtoull(argv[i] + strlen("last="), NULL, 0);
        }
        whole = false;
    }
    if (last < first) {
        g_printerr("branches: give first=ADDRESS,last=ADDRESS or nothing\n");
        return -1;
    }

    cpus = qemu_plugin_scoreboard_new(sizeof(CPU));
    pending = qemu_plugin_scoreboard_u64_in_struct(cpus, CPU, pending);
    found = g_array_new(FALSE, FALSE, sizeof(Taken));
    branches = g_hash_table_new(g_int64_hash, g_int64_equal);
    qemu_plugin_register_vcpu_tb_trans_cb(id, watch_branches);
    qemu_plugin_register_atexit_cb(id, print_branches, NULL);
    return 0;
}
