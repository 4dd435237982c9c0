/*
 * TCG plugin: how often every instruction in a range of addresses has run
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Arguments: first=ADDRESS,last=ADDRESS.  At exit the plugin prints a line for
 * each instruction in the range: its address and its count.  Profiles of the
 * virtual PMU are compared with them; the plugin runs in QEMU without our
 * patches.
 */
#include <glib.h>
#include <inttypes.h>
#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static uint64_t first, last;
/* One counter for each address in the range. */
static GArray *counters;

static void count_addresses(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);

        if (address < first || address > last) {
            continue;
        }
        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
            insn, QEMU_PLUGIN_INLINE_ADD_U64,
            g_array_index(counters, qemu_plugin_u64, address - first), 1);
    }
}

static void print_counts(qemu_plugin_id_t id, void *opaque)
{
    for (uint64_t address = first; address <= last; address++) {
        uint64_t sum = qemu_plugin_u64_sum(
            g_array_index(counters, qemu_plugin_u64, address - first));

        if (sum) {
            g_autofree char *line =
                g_strdup_printf("0x%" PRIx64 " %" PRIu64 "\n", address, sum);

            qemu_plugin_outs(line);
        }
    }
}

QEMU_PLUGIN_EXPORT
int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                        char **argv)
{
    struct qemu_plugin_scoreboard *board;
    size_t size;

    for (int i = 0; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "first=")) {
            first = g_ascii_strtoull(argv[i] + strlen("first="), NULL, 0);
        } else if (g_str_has_prefix(argv[i], "last=")) {
            last = g_ascii_strtoull(argv[i] + strlen("last="), NULL, 0);
        }
    }
    if (!first || last < first) {
        g_printerr("addresses: give first=ADDRESS,last=ADDRESS\n");
        return -1;
    }

    size = last - first + 1;
    board = qemu_plugin_scoreboard_new(size * sizeof(uint64_t));
    counters = g_array_sized_new(FALSE, FALSE, sizeof(qemu_plugin_u64), size);
    for (size_t i = 0; i < size; i++) {
        qemu_plugin_u64 counter = { board, i * sizeof(uint64_t) };

        g_array_append_val(counters, counter);
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, count_addresses);
    qemu_plugin_register_atexit_cb(id, print_counts, NULL);
    return 0;
}
