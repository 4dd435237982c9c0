/*
 * Let libFuzzer look for a stream that the hand-over core does not get right
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a stream means and what is checked: tests/unit/handover-model.c.
 */
#include "handover-model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    HandoverTally tally = { 0 };

    model_run(data, size, &tally);
    return 0;
}
