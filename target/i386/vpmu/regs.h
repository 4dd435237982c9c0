/*
 * PMU registers, names and bits as in the SDM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 4 (MSRs) and volume 3, "Performance Monitoring".  Registers
 * that cpu.h defines are not repeated.
 */
#ifndef TARGET_I386_VPMU_REGS_H
#define TARGET_I386_VPMU_REGS_H

/* IA32_PERFEVTSELx */
#define VPMU_EVTSEL_CODE            UINT64_C(0xffff)
#define VPMU_EVTSEL_USR             (UINT64_C(1) << 16)
#define VPMU_EVTSEL_OS              (UINT64_C(1) << 17)
#define VPMU_EVTSEL_EDGE            (UINT64_C(1) << 18)
#define VPMU_EVTSEL_PC              (UINT64_C(1) << 19)
#define VPMU_EVTSEL_INT             (UINT64_C(1) << 20)
#define VPMU_EVTSEL_ANY             (UINT64_C(1) << 21)
#define VPMU_EVTSEL_EN              (UINT64_C(1) << 22)
#define VPMU_EVTSEL_INV             (UINT64_C(1) << 23)
#define VPMU_EVTSEL_CMASK_SHIFT     24
/* Adaptive PEBS record */
#define VPMU_EVTSEL_ADAPTIVE        (UINT64_C(1) << 34)
#define VPMU_EVTSEL_CMASK           (UINT64_C(0xff) << VPMU_EVTSEL_CMASK_SHIFT)

/* PERF_CTLx of AMD, what it has in addition */
#define VPMU_CTL_EVENT_HIGH_SHIFT   32
#define VPMU_CTL_EVENT_HIGH         (UINT64_C(0xf) << VPMU_CTL_EVENT_HIGH_SHIFT)
#define VPMU_CTL_GUEST_ONLY         (UINT64_C(1) << 40)
#define VPMU_CTL_HOST_ONLY          (UINT64_C(1) << 41)

/* IA32_FIXED_CTR_CTRL, four bits a counter */
#define VPMU_FIXED_OS               1
#define VPMU_FIXED_USR              2
#define VPMU_FIXED_ANY              4
#define VPMU_FIXED_PMI              8
/* Adaptive PEBS record, in the upper half */
#define VPMU_FIXED_ADAPTIVE(j)      (UINT64_C(1) << (32 + 4 * (j)))

/* IA32_PERF_GLOBAL_STATUS and its reset and set registers */
#define VPMU_STATUS_LBR_FRZ         (UINT64_C(1) << 58)
#define VPMU_STATUS_CTR_FRZ         (UINT64_C(1) << 59)
#define VPMU_STATUS_OVF_BUF         (UINT64_C(1) << 62)
#define VPMU_STATUS_COND_CHGD       (UINT64_C(1) << 63)

/* IA32_PERF_GLOBAL_INUSE */
#define VPMU_INUSE_PMI              (UINT64_C(1) << 63)

/* IA32_PERF_CAPABILITIES */
#define VPMU_CAP_PEBS_TRAP          (UINT64_C(1) << 6)
#define VPMU_CAP_PEBS_ARCH_REG      (UINT64_C(1) << 7)
#define VPMU_CAP_PEBS_FORMAT_SHIFT  8
#define VPMU_CAP_PEBS_FORMAT        (UINT64_C(0xf) << \
                                     VPMU_CAP_PEBS_FORMAT_SHIFT)
#define VPMU_CAP_PEBS_BASELINE      (UINT64_C(1) << 14)
#define VPMU_CAP_PEBS               (VPMU_CAP_PEBS_TRAP | \
                                     VPMU_CAP_PEBS_ARCH_REG | \
                                     VPMU_CAP_PEBS_FORMAT | \
                                     VPMU_CAP_PEBS_BASELINE)
#define VPMU_CAP_FW_WRITE           (UINT64_C(1) << 13)

/* IA32_DEBUGCTL */
#define VPMU_DEBUGCTL_LBR           (UINT64_C(1) << 0)
#define VPMU_DEBUGCTL_TR            (UINT64_C(1) << 6)
#define VPMU_DEBUGCTL_BTS           (UINT64_C(1) << 7)
#define VPMU_DEBUGCTL_BTINT         (UINT64_C(1) << 8)
#define VPMU_DEBUGCTL_BTS_OFF_OS    (UINT64_C(1) << 9)
#define VPMU_DEBUGCTL_BTS_OFF_USR   (UINT64_C(1) << 10)
#define VPMU_DEBUGCTL_TRACE         (VPMU_DEBUGCTL_TR | VPMU_DEBUGCTL_BTS | \
                                     VPMU_DEBUGCTL_BTINT | \
                                     VPMU_DEBUGCTL_BTS_OFF_OS | \
                                     VPMU_DEBUGCTL_BTS_OFF_USR)
#define VPMU_DEBUGCTL_FREEZE_LBRS   (UINT64_C(1) << 11)
#define VPMU_DEBUGCTL_FREEZE_PMI    (UINT64_C(1) << 12)
/*
 * LBR, BTF, TR, BTS, BTINT, BTS_OFF_OS, BTS_OFF_USR, freeze LBR: no fault where
 * the PMU has nothing that they could switch on
 */
#define VPMU_DEBUGCTL_IGNORED       UINT64_C(0xfc3)

/* IA32_MISC_ENABLE */
#define VPMU_MISC_EMON              (UINT64_C(1) << 7)
#define VPMU_MISC_BTS_UNAVAIL       (UINT64_C(1) << 11)
#define VPMU_MISC_PEBS_UNAVAIL      (UINT64_C(1) << 12)
#define VPMU_MISC_READ_ONLY         (VPMU_MISC_EMON | VPMU_MISC_BTS_UNAVAIL | \
                                     VPMU_MISC_PEBS_UNAVAIL)

/* IA32_PEBS_ENABLE of processors without baseline */
#define VPMU_PEBS_LOAD_LATENCY      (UINT64_C(0xf) << 32)
#define VPMU_PEBS_PRECISE_STORE     (UINT64_C(1) << 63)

/* RDPMC, ECX */
#define VPMU_RDPMC_FIXED            (1u << 30)
#define VPMU_RDPMC_FAST             (1u << 31)

/* MSR numbers that cpu.h lacks */
#define MSR_CORE_LASTBRANCH_0_FROM_IP   0x40
#define MSR_CORE_LASTBRANCH_0_TO_IP     0x60
#define MSR_LBR_SELECT              0x1c8
#define MSR_LASTBRANCH_TOS          0x1c9
#define MSR_IA32_DEBUGCTL           0x1d9
#define MSR_IA32_PERF_GLOBAL_STATUS_SET 0x391
#define MSR_IA32_PERF_GLOBAL_INUSE  0x392
#define MSR_IA32_PMC0               0x4c1
#define MSR_IA32_PEBS_ENABLE        0x3f1
#define MSR_PEBS_DATA_CFG           0x3f2
#define MSR_PEBS_LD_LAT             0x3f6
#define MSR_IA32_DS_AREA            0x600
#define MSR_LASTBRANCH_0_FROM_IP    0x680
#define MSR_LASTBRANCH_0_TO_IP      0x6c0
#define MSR_LBR_INFO_0              0xdc0

/* The same of AMD; MSRs that alternate are two apart. */
#define MSR_K7_EVNTSEL0                 0xc0010000
#define MSR_K7_PERFCTR0                 0xc0010004
#define MSR_AMD_PERF_CTL0               0xc0010200
#define MSR_AMD_PERF_CTR0               0xc0010201
#define MSR_AMD_GLOBAL_STATUS           0xc0000300
#define MSR_AMD_GLOBAL_CTL              0xc0000301
#define MSR_AMD_GLOBAL_STATUS_CLR       0xc0000302
#define MSR_AMD_GLOBAL_STATUS_SET       0xc0000303

/* MSR_PEBS_LD_LAT */
#define VPMU_LD_LAT_THRESHOLD       UINT64_C(0xffff)
/* What every load takes, core cycles: above perf's default threshold of 30. */
#define VPMU_LOAD_LATENCY           32
/* Data source of a PEBS record */
#define PEBS_SOURCE_L1_HIT          1
#define PEBS_SOURCE_L2_HIT          3
#define PEBS_SOURCE_L3_HIT          4
#define PEBS_SOURCE_MEMORY          0xa
#define PEBS_SOURCE_STLB_MISS       0x10

#endif /* TARGET_I386_VPMU_REGS_H */
