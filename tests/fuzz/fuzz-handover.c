/*
 * Let libFuzzer look for a stream with which the hand-over core breaks a rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tests/unit/handover-model.c has what a stream means and what is checked.
 */
#include "handover-model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    HandoverTally tally = { 0 };

    model_run(data, size, &tally);
    return 0;
}
