//===- two-models.c - Two compiled models in one program ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle-c/model.h"

#include <stdio.h>

TREADLE_DECLARE_MODEL(first);
TREADLE_DECLARE_MODEL(second);

/* Prints the most likely token after ids 1, 2, 3, or why there is none. */
static int ask(const treadle_model_api *api) {
  static float logits[4096];
  const int32_t ids[] = {1, 2, 3};
  char message[256] = "";
  treadle_open_params open = {0};
  treadle_session_params params = {0};
  treadle_model *model = NULL;
  treadle_session *session = NULL;
  int32_t best = 0, failed = 1;
  size_t vocabulary = 97; /* of models/miniaxion/tiny.json */

  open.struct_size = sizeof(open);
  params.struct_size = sizeof(params);
  if (api->model_open(&open, &model, message, sizeof(message)) == TREADLE_STATUS_OK &&
      api->session_create(model, &params, &session, message, sizeof(message)) ==
          TREADLE_STATUS_OK &&
      api->session_forward(session, ids, NULL, 3, TREADLE_LOGITS_LAST, logits, vocabulary) ==
          TREADLE_STATUS_OK) {
    for (size_t i = 1; i < vocabulary; ++i)
      if (logits[i] > logits[best])
        best = (int32_t)i;
    printf("%d\n", (int)best);
    failed = 0;
  } else {
    printf("failed: %s\n", message);
  }
  api->session_destroy(session);
  api->model_close(model);
  return failed;
}

int main(void) {
  int failed = ask(first_treadle_model_query(TREADLE_MODEL_ABI));
  return ask(second_treadle_model_query(TREADLE_MODEL_ABI)) || failed;
}
