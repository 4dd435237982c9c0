/*
 * The types of the virtual PMU's CPU properties
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_PROPERTIES_H
#define TARGET_I386_VPMU_PROPERTIES_H

/**
 * vpmu_fixed_list: fixed counters as pmu-host-fixed has them, for example 0:2
 * @mask: bit j for fixed j
 */
char *vpmu_fixed_list(uint8_t mask);

#endif /* TARGET_I386_VPMU_PROPERTIES_H */
