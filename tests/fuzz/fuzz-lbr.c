/*
 * Let libFuzzer look for branches whose records are wrong
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tests/unit/lbr-model.c has what a stream means and what is checked.
 */
#include "lbr-model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lbr_model_run(data, size);
    return 0;
}
