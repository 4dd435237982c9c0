/*
 * qemupmutest.c: PMU counters that a guest shares with its host: the
 * capability, the ABI that the guest sees, and the statistics
 *
 * This library is free software; you can redistribute it and/or
 * modify it under the terms of the GNU Lesser General Public
 * License as published by the Free Software Foundation; either
 * version 2.1 of the License, or (at your option) any later version.
 *
 * This library is distributed in the hope that it will be useful,
 * but WITHOUT ANY WARRANTY; without even the implied warranty of
 * MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the GNU
 * Lesser General Public License for more details.
 *
 * You should have received a copy of the GNU Lesser General Public
 * License along with this library.  If not, see
 * <http://www.gnu.org/licenses/>.
 */

#include <config.h>

#include "testutils.h"
#include "testutilsqemu.h"
#include "qemumonitortestutils.h"
#include "virfile.h"
#define LIBVIRT_QEMU_CAPSPRIV_H_ALLOW
#include "qemu/qemu_capspriv.h"
#define LIBVIRT_QEMU_PROCESSPRIV_H_ALLOW
#include "qemu/qemu_processpriv.h"

#define VIR_FROM_THIS VIR_FROM_NONE

static virQEMUDriver driver;


/* Probes the capability with the replies of a stock QEMU, to which the property
 * is added if it is to be found. */
static int
testQemuPMUCaps(const void *opaque)
{
    bool supported = *(const bool *) opaque;
    const char *replies = TEST_QEMU_CAPS_PATH "/caps_10.0.0_x86_64.replies";
    g_autofree char *stock = NULL;
    g_autofree char *scratch = NULL;
    g_autoptr(GString) patched = NULL;
    g_autoptr(qemuMonitorTest) mon = NULL;
    g_autoptr(virQEMUCaps) caps = NULL;
    char *neighbour;
    int fd;

    if (virTestLoadFile(replies, &stock) < 0)
        return -1;

    patched = g_string_new(stock);

    if (supported) {
        if (!(neighbour = strstr(stock, "\"name\": \"migratable\"")) ||
            !(neighbour = g_strrstr_len(stock, neighbour - stock, "{"))) {
            VIR_TEST_VERBOSE("no property of a CPU model in '%s'", replies);
            return -1;
        }

        g_string_insert(patched, neighbour - stock,
                        "{\"name\": \"pmu-passthrough\", \"type\": \"OnOffAuto\"},");
    }

    if ((fd = g_file_open_tmp("qemupmutest-XXXXXX", &scratch, NULL)) < 0)
        return -1;

    VIR_FORCE_CLOSE(fd);

    if (virFileWriteStr(scratch, patched->str, 0) == 0)
        mon = qemuMonitorTestNewFromFileFull(scratch, &driver, NULL, NULL);

    unlink(scratch);

    if (!mon ||
        qemuProcessQMPInitMonitor(qemuMonitorTestGetMonitor(mon)) < 0)
        return -1;

    /* The replies about TCG remain.  They have the same properties. */
    qemuMonitorTestAllowUnusedCommands(mon);

    caps = virQEMUCapsNewBinary("/usr/bin/qemu-system-x86_64");

    if (virQEMUCapsInitQMPMonitor(caps, qemuMonitorTestGetMonitor(mon)) < 0)
        return -1;

    if (virQEMUCapsGet(caps, QEMU_CAPS_X86_CPU_PMU_PASSTHROUGH) != supported) {
        VIR_TEST_VERBOSE("expected the capability to be %s",
                         supported ? "set" : "clear");
        return -1;
    }

    return 0;
}


struct testQemuPMUABIData {
    const char *src;
    const char *dst;
    const char *err; /* NULL if the guest sees the same PMU in both */
};


/* A domain with this <pmu> element */
static virDomainDef *
testQemuPMUParse(const char *pmu,
             virDomainXMLOption *xmlopt)
{
    g_autofree char *xml = NULL;

    xml = g_strdup_printf("<domain type='qemu'>"
                          "  <name>guest</name>"
                          "  <uuid>1ccfd97d-5eb4-478a-bbe6-88d254c16db7</uuid>"
                          "  <memory>524288</memory>"
                          "  <os><type arch='x86_64'>hvm</type></os>"
                          "  <features>%s</features>"
                          "</domain>", pmu);

    return virDomainDefParseString(xml, xmlopt, NULL,
                                   VIR_DOMAIN_DEF_PARSE_INACTIVE);
}


static int
testQemuPMUABI(const void *opaque)
{
    const struct testQemuPMUABIData *data = opaque;
    g_autoptr(virDomainXMLOption) xmlopt = virTestGenericDomainXMLConfInit();
    g_autoptr(virDomainDef) src = NULL;
    g_autoptr(virDomainDef) dst = NULL;
    const char *err = NULL;

    if (!(src = testQemuPMUParse(data->src, xmlopt)) ||
        !(dst = testQemuPMUParse(data->dst, xmlopt)))
        return -1;

    if (!virDomainDefCheckABIStability(src, dst, xmlopt))
        err = virGetLastErrorMessage();

    if (STRNEQ_NULLABLE(err, data->err)) {
        VIR_TEST_VERBOSE("expected: %s\nactual:   %s",
                         NULLSTR(data->err), NULLSTR(err));
        return -1;
    }

    virResetLastError();
    return 0;
}


/* Two providers have statistics of the same vCPUs, and one of the two has
 * statistics of the VM with the same names. */
static const char testQemuPMUStatsSchemas[] =
    "{ \"return\": ["
    "  { \"provider\": \"kvm\", \"target\": \"vcpu\", \"stats\": ["
    "    { \"name\": \"exits\", \"type\": \"cumulative\" } ] },"
    "  { \"provider\": \"vpmu\", \"target\": \"vm\", \"stats\": ["
    "    { \"name\": \"pmis\", \"type\": \"cumulative\" } ] },"
    "  { \"provider\": \"vpmu\", \"target\": \"vcpu\", \"stats\": ["
    "    { \"name\": \"pmis\", \"type\": \"cumulative\" } ] } ] }";

static const char testQemuPMUStatsResults[] =
    "{ \"return\": ["
    "  { \"provider\": \"vpmu\", \"qom-path\": \"/machine/cpu0\", \"stats\": ["
    "    { \"name\": \"pmis\", \"value\": 10 } ] },"
    "  { \"provider\": \"vpmu\", \"qom-path\": \"/machine/cpu1\", \"stats\": ["
    "    { \"name\": \"pmis\", \"value\": 11 } ] },"
    "  { \"provider\": \"kvm\", \"qom-path\": \"/machine/cpu0\", \"stats\": ["
    "    { \"name\": \"exits\", \"value\": 20 } ] },"
    "  { \"provider\": \"kvm\", \"qom-path\": \"/machine/cpu1\", \"stats\": ["
    "    { \"name\": \"exits\", \"value\": 21 } ] },"
    "  { \"provider\": \"vpmu\", \"stats\": ["
    "    { \"name\": \"pmis\", \"value\": 30 } ] } ] }";


static int
testQemuPMUStatsSchema(qemuMonitor *mon)
{
    g_autoptr(GHashTable) schema = NULL;
    qemuMonitorQueryStatsSchemaData *data;

    if (!(schema = qemuMonitorQueryStatsSchema(mon, QEMU_MONITOR_QUERY_STATS_PROVIDER_LAST)))
        return -1;

    if (g_hash_table_size(schema) != 2 ||
        !g_hash_table_contains(schema, "exits") ||
        !(data = g_hash_table_lookup(schema, "vpmu.pmis")) ||
        data->type != QEMU_MONITOR_QUERY_STATS_TYPE_CUMULATIVE) {
        VIR_TEST_VERBOSE("expected the schema to have 'exits' and 'vpmu.pmis'");
        return -1;
    }

    return 0;
}


static int
testQemuPMUStatsValue(GHashTable *stats,
                      const char *key,
                      unsigned long long expected)
{
    virJSONValue *value = g_hash_table_lookup(stats, key);
    unsigned long long actual;

    if (!value ||
        virJSONValueGetNumberUlong(value, &actual) < 0 ||
        actual != expected) {
        VIR_TEST_VERBOSE("expected %s to be %llu", key, expected);
        return -1;
    }

    return 0;
}


static int
testQemuPMUStats(const void *opaque G_GNUC_UNUSED)
{
    g_autoptr(qemuMonitorTest) test = NULL;
    g_autoptr(virJSONValue) results = NULL;
    g_autoptr(GHashTable) vcpu0 = NULL;
    g_autoptr(GHashTable) vcpu1 = NULL;
    g_autoptr(GHashTable) vm = NULL;
    qemuMonitor *mon;

    if (!(test = qemuMonitorTestNewSimple(driver.xmlopt)))
        return -1;

    mon = qemuMonitorTestGetMonitor(test);

    if (qemuMonitorTestAddItem(test, "query-stats-schemas", testQemuPMUStatsSchemas) < 0 ||
        qemuMonitorTestAddItem(test, "query-stats", testQemuPMUStatsResults) < 0 ||
        testQemuPMUStatsSchema(mon) < 0)
        return -1;

    if (!(results = qemuMonitorQueryStats(mon, QEMU_MONITOR_QUERY_STATS_TARGET_VCPU,
                                          NULL, NULL)))
        return -1;

    vcpu0 = qemuMonitorGetStatsByQOMPath(results, "/machine/cpu0");
    vcpu1 = qemuMonitorGetStatsByQOMPath(results, "/machine/cpu1");
    vm = qemuMonitorGetStatsByQOMPath(results, NULL);

    if (testQemuPMUStatsValue(vcpu0, "vpmu.pmis", 10) < 0 ||
        testQemuPMUStatsValue(vcpu0, "exits", 20) < 0 ||
        testQemuPMUStatsValue(vcpu1, "vpmu.pmis", 11) < 0 ||
        testQemuPMUStatsValue(vcpu1, "exits", 21) < 0 ||
        testQemuPMUStatsValue(vm, "vpmu.pmis", 30) < 0)
        return -1;

    if (g_hash_table_size(vm) != 1) {
        VIR_TEST_VERBOSE("expected the VM to have one statistic");
        return -1;
    }

    return 0;
}


static int
mymain(void)
{
    int ret = 0;
    bool yes = true;
    bool no = false;

    if (qemuTestDriverInit(&driver) < 0)
        return EXIT_FAILURE;

    virEventRegisterDefaultImpl();

    if (virTestRun("properties found", testQemuPMUCaps, &yes) < 0)
        ret = -1;
    if (virTestRun("properties not found", testQemuPMUCaps, &no) < 0)
        ret = -1;

#define DO_TEST_ABI(name, ...) \
    do { \
        struct testQemuPMUABIData data = { __VA_ARGS__ }; \
        if (virTestRun("ABI " name, testQemuPMUABI, &data) < 0) \
            ret = -1; \
    } while (0)

    DO_TEST_ABI("defaults",
                "<pmu state='on'/>",
                "<pmu state='on' passthrough='off'/>",
                NULL);
    DO_TEST_ABI("defaults of passthrough",
                "<pmu passthrough='on'/>",
                "<pmu passthrough='on' visible='granted'><reserved gp='0' order='low'/></pmu>",
                NULL);
    DO_TEST_ABI("reserved but visible",
                "<pmu passthrough='on' visible='all'/>",
                "<pmu passthrough='on' visible='all'><reserved gp='3' fixed='1'/></pmu>",
                NULL);
    DO_TEST_ABI("passthrough",
                "<pmu state='on'/>",
                "<pmu state='on' passthrough='on'/>",
                "unsupported configuration: Attribute 'passthrough' in element 'pmu' differs: source: 'off', destination: 'on'");
    DO_TEST_ABI("visible",
                "<pmu passthrough='on'/>",
                "<pmu passthrough='on' visible='all'/>",
                "unsupported configuration: Attribute 'visible' in element 'pmu' differs: source: 'granted', destination: 'all'");
    DO_TEST_ABI("gp",
                "<pmu passthrough='on'><reserved gp='2'/></pmu>",
                "<pmu passthrough='on'/>",
                "unsupported configuration: Element 'reserved' in element 'pmu' differs: source: gp='2' fixed='', destination: gp='0' fixed=''. It may differ only if attribute 'visible' is 'all'");
    DO_TEST_ABI("fixed",
                "<pmu passthrough='on'><reserved fixed='0,2'/></pmu>",
                "<pmu passthrough='on'/>",
                "unsupported configuration: Element 'reserved' in element 'pmu' differs: source: gp='0' fixed='0,2', destination: gp='0' fixed=''. It may differ only if attribute 'visible' is 'all'");

    if (virTestRun("statistics", testQemuPMUStats, NULL) < 0)
        ret = -1;

    qemuTestDriverFree(&driver);

    return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

VIR_TEST_MAIN_PRELOAD(mymain,
                      VIR_TEST_MOCK("domaincaps"))
