/*
 * The pieces of assembly in regs.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_REGS_H
#define TESTS_VPMU_REGS_H

void user_rdpmc(void);
void count_between(void);

#endif /* TESTS_VPMU_REGS_H */
