//===- Golden.c - Writes the golden logits of the toy model ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   golden toy-folder > golden.inc
//
// Stands in for the reference: the self-test's arithmetic is what is tested.
//
//===----------------------------------------------------------------------===//

#include "Test.h"

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  const treadle_model_api *api = loadLibrary("toy.so");
  treadle_model *model = openModel(api);
  treadle_session *s = newSession(api, model, 2, 0, 0);
  enum { count = 5 };
  int32_t ids[count];
  uint8_t mask[count];
  float logits[count * TOY_VOCAB];
  fillTokens(ids, mask, 0, count);
  REQUIRE_OK(api->session_forward(s, ids, NULL, count, TREADLE_LOGITS_ALL,
                                  logits, count * TOY_VOCAB));
  printf("{");
  for (int i = 0; i < count; ++i)
    printf("%d,", ids[i]);
  printf("}, {");
  for (int i = 0; i < count * TOY_VOCAB; ++i)
    printf("%af,", logits[i]);
  printf("}");
  api->session_destroy(s);
  api->model_close(model);
  return 0;
}
