/*
 * Last branch records against a model that keeps a list of everything
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The model knows no ring buffer: it has a list of as many records as there
 * are.  A branch is appended and the first one goes; a return takes the last
 * one away.  The unit test and the fuzzer share it.
 */
#ifndef TESTS_UNIT_LBR_MODEL_H
#define TESTS_UNIT_LBR_MODEL_H

#include <stddef.h>
#include <stdint.h>

/**
 * lbr_model_run: carry out the steps that a stream of bytes encodes, and
 * compare after each
 *
 * Returns: how many records returns have taken away.
 */
unsigned lbr_model_run(const uint8_t *data, size_t size);

#endif /* TESTS_UNIT_LBR_MODEL_H */
