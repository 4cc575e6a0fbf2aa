//===- ModelTest.c - Open, descriptions, verify, self-test ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Test.h"

#include <sys/stat.h>
#include <unistd.h>

static char message[256];

static treadle_status openWith(const treadle_model_api *api,
                               const treadle_open_params *params) {
  treadle_model *model = (treadle_model *)message;
  treadle_status status =
      api->model_open(params, &model, message, sizeof(message));
  CHECK((status == TREADLE_STATUS_OK) == (model != NULL));
  CHECK((status == TREADLE_STATUS_OK) == !*message);
  api->model_close(model);
  return status;
}

static treadle_status openFile(const treadle_model_api *api, const char *path) {
  const treadle_open_params params = {.struct_size = sizeof(params),
                                      .weights = path};
  return openWith(api, &params);
}

static void testTable(void) {
  void *library = dlopen(pathOf("toy.so"), RTLD_NOW);
  treadle_model_query_fn query;
  *(void **)&query = dlsym(library, "treadle_model_query");
  CHECK(!query(0));
  const treadle_model_api *api = query(1);
  CHECK(query(1000) == api);
  CHECK(api->struct_size == sizeof(*api));
  CHECK(api->version == TREADLE_MODEL_ABI);
  CHECK(!strcmp(api->status_name(TREADLE_STATUS_FULL), "full"));
  CHECK(!strcmp(api->status_name(99), "unknown"));
  for (treadle_status i = 0; i <= TREADLE_STATUS_FAILED; ++i)
    CHECK(strcmp(api->status_name(i), "unknown"));
}

static void testInfo(const treadle_model_api *api) {
  treadle_model_info info = {.struct_size = sizeof(info)};
  CHECK_OK(api->model_info(NULL, &info));
  CHECK(!strcmp(info.name, "toy"));
  CHECK(info.json[0] == '{');
  CHECK(info.vocab_size == TOY_VOCAB && info.token_count == TOY_VOCAB &&
        info.hidden_size == TOY_WIDTH);
  CHECK(info.context == TOY_CONTEXT);
  CHECK(info.config_context == TOY_CONFIG_CONTEXT);
  CHECK(info.max_loops == TOY_LOOPS && info.config_loops == TOY_CONFIG_LOOPS);
  CHECK(info.eos_count == 2 && info.eos_ids[1] == 5);
  CHECK(info.entry_count == TOY_ENTRIES && info.state_count == TOY_COUNT + 1);
  CHECK(info.weights_mode == TREADLE_WEIGHTS_EMBED);
  CHECK(info.weights_bytes == TOY_VOCAB * TOY_WIDTH * 4);
  CHECK(info.library_id[0] == 1 && info.config_digest[0] == 9);
  CHECK(info.struct_size == sizeof(info));

  CHECK(api->model_info(NULL, NULL) == TREADLE_STATUS_INVALID_ARGUMENT);
  info.struct_size = 8;
  CHECK(api->model_info(NULL, &info) == TREADLE_STATUS_INVALID_ARGUMENT);
  struct {
    treadle_model_info info;
    uint64_t later;
  } newer = {.info.struct_size = sizeof(newer), .later = 7};
  CHECK_OK(api->model_info(NULL, &newer.info));
  CHECK(newer.later == 7 && newer.info.struct_size == sizeof(newer));

  treadle_entry_info entry = {.struct_size = sizeof(entry)};
  CHECK_OK(api->entry_info(NULL, TOY_FORWARD_16, &entry));
  CHECK(entry.kind == TREADLE_ENTRY_FORWARD && entry.rows == 16);
  CHECK(entry.arena_bytes == 4096);
  CHECK_OK(api->entry_info(NULL, TOY_HEAD_1, &entry));
  CHECK(entry.kind == TREADLE_ENTRY_HEAD && entry.rows == 1);
  CHECK(api->entry_info(NULL, TOY_ENTRIES, &entry) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->entry_info(NULL, 0, NULL) == TREADLE_STATUS_INVALID_ARGUMENT);

  treadle_state_info state = {.struct_size = sizeof(state)};
  CHECK_OK(api->state_info(NULL, TOY_KEYS, &state));
  CHECK(!strcmp(state.name, "keys") && state.kind == TREADLE_STATE_APPEND);
  CHECK(state.element == TREADLE_ELEMENT_F32 && state.rows == TOY_CONTEXT);
  CHECK(state.row_bytes == TOY_LAYERS * TOY_LOOPS * TOY_WIDTH * 4);
  CHECK(state.bytes == state.row_bytes * TOY_CONTEXT);
  CHECK(state.pass_row_bytes == TOY_LAYERS * TOY_WIDTH * 4);
  CHECK_OK(api->state_info(NULL, TOY_TAPS, &state));
  CHECK(state.kind == TREADLE_STATE_RING && state.rows == TOY_RING);
  CHECK(state.pass_row_bytes == 0);
  CHECK(api->state_info(NULL, TOY_COUNT + 1, &state) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
}

static void testOpen(const treadle_model_api *api) {
  CHECK(api->model_open(NULL, NULL, message, sizeof(message)) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(*message);
  api->model_close(NULL);

  treadle_open_params params = {.struct_size = sizeof(params), .device = "cpu"};
  CHECK_OK(openWith(api, &params));
  params.device = "cuda";
  CHECK(openWith(api, &params) == TREADLE_STATUS_UNSUPPORTED);
  CHECK(strstr(message, "'cuda'"));
  params.device = NULL;
  params.cuda_driver = "libcuda.so";
  CHECK(openWith(api, &params) == TREADLE_STATUS_INVALID_ARGUMENT);
  params = (treadle_open_params){
      .struct_size = offsetof(treadle_open_params, threads) - 1};
  CHECK(openWith(api, &params) == TREADLE_STATUS_INVALID_ARGUMENT);
  params.struct_size = 0;
  CHECK(openWith(api, &params) == TREADLE_STATUS_INVALID_ARGUMENT);
  params.struct_size = SIZE_MAX;
  CHECK(openWith(api, &params) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(openFile(api, "some.weights") == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(strstr(message, "holds its own"));

  // A newer caller: unknown fields must be unset.
  struct {
    treadle_open_params params;
    uint64_t later;
  } newer = {{.struct_size = sizeof(newer)}, 0};
  CHECK_OK(openWith(api, &newer.params));
  newer.later = 1;
  CHECK(openWith(api, &newer.params) == TREADLE_STATUS_INVALID_ARGUMENT);

  // A message is cut, not overrun.
  char small[8] = "1234567";
  treadle_model *model;
  CHECK(api->model_open(&newer.params, &model, small, 4));
  CHECK(!memcmp(small, "exp\0", 4) && small[4] == '5');
  CHECK(api->model_open(&newer.params, &model, small, 0));

  CHECK(openWith(loadLibrary("toy-format.so"), NULL) ==
        TREADLE_STATUS_UNSUPPORTED);
  CHECK_OK(openWith(loadLibrary("toy-none.so"), NULL));
  CHECK(openFile(loadLibrary("toy-none.so"), "w") ==
        TREADLE_STATUS_INVALID_ARGUMENT);
}

//===----------------------------------------------------------------------===//
// External weights
//===----------------------------------------------------------------------===//

/// The toy's weights, with `size` bytes and the byte at `flip` changed.
static const char *alteredWeights(long size, long flip) {
  static char bytes[1 << 16];
  FILE *in = fopen(pathOf("toy.weights"), "rb");
  REQUIRE(in);
  size_t whole = fread(bytes, 1, sizeof(bytes), in);
  fclose(in);
  if (flip >= 0)
    bytes[flip] ^= 1;
  const char *path = pathOf("altered.weights");
  FILE *out = fopen(path, "wb");
  REQUIRE(out);
  fwrite(bytes, 1, size < 0 ? whole : (size_t)size, out);
  fclose(out);
  return path;
}

static void testExternal(const treadle_model_api *api) {
  CHECK(openWith(api, NULL) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(strstr(message, "path"));
  CHECK_OK(openFile(api, pathOf("toy.weights")));
  CHECK(openFile(api, pathOf("missing.weights")) == TREADLE_STATUS_IO);
  CHECK(strstr(message, "no such file"));
  CHECK(openFile(api, folder) == TREADLE_STATUS_IO);
  CHECK(strstr(message, "not a file"));

  mkfifo(pathOf("pipe.weights"), 0600);
  CHECK(openFile(api, pathOf("pipe.weights")) == TREADLE_STATUS_IO);
  CHECK(strstr(message, "not a file"));
  unlink(pathOf("pipe.weights"));

  for (long size = 0; size < 1376; size += 37) {
    CHECK(openFile(api, alteredWeights(size, -1)) == TREADLE_STATUS_MISMATCH);
    CHECK(strstr(message, "expected 1376 bytes, got"));
    CHECK((size > 8 + 184) == (strstr(message, "--pack") != NULL));
  }
  CHECK(openFile(api, alteredWeights(2000, -1)) == TREADLE_STATUS_MISMATCH);
  // Every byte of the header, the digest's digits among them.
  for (long i = 0; i < 192; ++i)
    CHECK(openFile(api, alteredWeights(-1, i)) == TREADLE_STATUS_MISMATCH);
  // Open does not read the data, verify does.
  treadle_model *model;
  const treadle_open_params params = {.struct_size = sizeof(params),
                                      .weights = alteredWeights(-1, 1000)};
  REQUIRE_OK(api->model_open(&params, &model, NULL, 0));
  CHECK(api->model_verify(model, message, sizeof(message)) ==
        TREADLE_STATUS_CORRUPT);
  CHECK(strstr(message, "damaged"));
  api->model_close(model);
}

/// Other values in the same layout: only for a library compiled without weights.
static void testOtherContent(const treadle_model_api *external,
                             const treadle_model_api *any) {
  const char *path = pathOf("other.weights");
  CHECK(openFile(external, path) == TREADLE_STATUS_MISMATCH);
  CHECK(strstr(message, "other values"));
  CHECK_OK(openFile(any, path));
  treadle_model *model;
  const treadle_open_params params = {.struct_size = sizeof(params),
                                      .weights = path};
  REQUIRE_OK(any->model_open(&params, &model, NULL, 0));
  CHECK_OK(any->model_verify(model, message, sizeof(message)));
  any->model_close(model);
  // Digits that are none.
  CHECK(openFile(any, alteredWeights(-1, 45)) == TREADLE_STATUS_OK);
  FILE *file = fopen(pathOf("altered.weights"), "r+b");
  fseek(file, 45, SEEK_SET);
  fputc('G', file);
  fclose(file);
  CHECK(openFile(any, pathOf("altered.weights")) == TREADLE_STATUS_MISMATCH);
}

//===----------------------------------------------------------------------===//
// Verify and self-test
//===----------------------------------------------------------------------===//

static void testVerify(const treadle_model_api *api) {
  treadle_model *model = openModel(api);
  CHECK_OK(api->model_verify(model, message, sizeof(message)));
  CHECK(api->model_verify(NULL, message, sizeof(message)) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  api->model_close(model);
  api = loadLibrary("toy-none.so");
  model = openModel(api);
  CHECK_OK(api->model_verify(model, NULL, 0));
  api->model_close(model);
}

static treadle_status runSelfTest(const char *library,
                                  treadle_selftest_report *report) {
  const treadle_model_api *api = loadLibrary(library);
  treadle_model *model = openModel(api);
  *report = (treadle_selftest_report){.struct_size = sizeof(*report)};
  treadle_status status =
      api->model_selftest(model, report, message, sizeof(message));
  CHECK(api->model_selftest(model, NULL, NULL, 0) == status);
  api->model_close(model);
  return status;
}

static void testSelfTest(void) {
  treadle_selftest_report report;
  CHECK_OK(runSelfTest("toy.so", &report));
  CHECK(report.golden_count == 0 && report.invariance_rows == 21);
  CHECK(report.invariance_loops == TOY_LOOPS && report.golden_worst == 0);
  CHECK_OK(runSelfTest("toy-golden.so", &report));
  CHECK(report.golden_count == 1 && report.golden_worst == 0);
  CHECK(runSelfTest("toy-golden-wrong.so", &report) == TREADLE_STATUS_FAILED);
  CHECK(strstr(message, "golden vector 0") && report.golden_worst > 1);
  CHECK(runSelfTest("toy-broken.so", &report) == TREADLE_STATUS_FAILED);
  CHECK(strstr(message, "loops 1: the logits of token"));
  CHECK(runSelfTest("toy-broken-state.so", &report) == TREADLE_STATUS_FAILED);
  CHECK(strstr(message, "state 'halves'"));
  const treadle_model_api *api = loadLibrary("toy.so");
  CHECK(api->model_selftest(NULL, &report, NULL, 0) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  treadle_model *model = openModel(api);
  report.struct_size = 4;
  CHECK(api->model_selftest(model, &report, NULL, 0) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  api->model_close(model);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  testTable();
  testInfo(loadLibrary("toy.so"));
  testOpen(loadLibrary("toy.so"));
  testExternal(loadLibrary("toy-external.so"));
  testOtherContent(loadLibrary("toy-external.so"), loadLibrary("toy-any.so"));
  testVerify(loadLibrary("toy.so"));
  testSelfTest();
  return finish("ModelTest");
}
